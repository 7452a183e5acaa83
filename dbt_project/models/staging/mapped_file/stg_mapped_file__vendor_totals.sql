select
    source_name,
    observed_on,
    account,
    lower(measure) as measure,
    value,
    coalesce(is_partial, false) as is_partial,
    vendor_says
from {{ source('mapped_file', 'vendor_totals') }}
