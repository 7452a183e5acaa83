-- The first of a visit's records says when, where and by whom; the money is that of all of them, once.
with money as (
    select
        visit_records.source_name,
        visit_records.visit_id,
        sum(lines.cost) as billed,
        -- a price raised by hand is no negative discount
        sum(
            case
                when lines.first_cost >= lines.cost then lines.first_cost - lines.cost
                when lines.first_cost < lines.cost then 0
            end
        ) as discount,
        max(lines.currency) as currency
    from {{ source('yclients', 'records') }} as lines
    inner join {{ ref('stg_yclients__visit_records') }} as visit_records
        on
            lines.source_name = visit_records.source_name
            and lines.record_id = visit_records.record_id
    group by visit_records.source_name, visit_records.visit_id
),

first_records as (
    select
        source_name,
        visit_id,
        min_by(record_id, place) as record_id
    from {{ ref('stg_yclients__visit_records') }}
    group by source_name, visit_id
)

select
    records.source_name,
    records.visit_id,
    records.record_id as appointment_id,
    records.client_id as patient_id,
    records.scheduled_at as visited_at,
    records.branch,
    cast(null as varchar) as room,
    records.doctor,
    cast(null as varchar) as care_setting,
    cast(null as varchar) as diagnosis,
    records.status,
    records.status_raw,
    money.billed,
    money.discount,
    money.currency,
    cast(null as boolean) as clinic_says_primary
from first_records
inner join {{ ref('stg_yclients__records') }} as records
    on
        first_records.source_name = records.source_name
        and first_records.record_id = records.record_id
left join money
    on
        first_records.source_name = money.source_name
        and first_records.visit_id = money.visit_id
