-- Every vendor's own total that ours does not reach or exceeds, with both figures.
{{ config(severity='warn') }}

select
    source_name,
    item,
    measure,
    ours,
    vendor,
    difference
from {{ ref('vendor_totals') }}
where
    not is_within_tolerance
    -- the vendor says itself that rows are missing
    and not is_partial
