-- Every status text that nobody mapped, with its rows: add it to `values.status` of the source.
{{ config(severity='warn') }}

select
    source_name,
    'visits' as table_name,
    status_raw,
    count(*) as unmapped_rows
from {{ ref('visits') }}
where status = 'unknown'
group by all

union all

select
    source_name,
    'appointments' as table_name,
    status_raw,
    count(*) as unmapped_rows
from {{ ref('appointments') }}
where status = 'unknown'
group by all
