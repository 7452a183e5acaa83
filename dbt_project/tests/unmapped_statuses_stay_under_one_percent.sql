-- Publication stops when, of the rows of the last 30 days up to as_of, more than 1 % have a status that
-- nobody mapped. Rows after as_of belong to it: when every new status is unmapped, as_of stands still.
{{ config(severity='error') }}

with recent as (
    select
        'visits' as table_name,
        visits.status
    from {{ ref('visits') }} as visits
    cross join {{ ref('as_of') }} as horizon
    where coalesce(visits.local_date > horizon.as_of - 30, true)

    union all

    select
        'appointments' as table_name,
        appointments.status
    from {{ ref('appointments') }} as appointments
    cross join {{ ref('as_of') }} as horizon
    where coalesce(appointments.local_date > horizon.as_of - 30, true)
)

select
    table_name,
    count(*) as recent_rows,
    count(*) filter (where status = 'unknown') as unmapped_rows
from recent
group by table_name
having count(*) filter (where status = 'unknown') > 0.01 * count(*)
