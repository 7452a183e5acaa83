-- Which records a visit is made of: those that were served, and all that stand where none was.
with standing as (
    select
        source_name,
        visit_id,
        record_id,
        scheduled_at,
        status = 'completed' as is_served,
        bool_or(status = 'completed') over (partition by source_name, visit_id) as is_served_visit
    from {{ ref('stg_yclients__records') }}
    where
        client_id is not null
        and not is_deleted
)

select
    source_name,
    visit_id,
    record_id,
    row_number() over (
        partition by source_name, visit_id
        order by scheduled_at, try_cast(record_id as bigint), record_id
    ) as place
from standing
where is_served or not is_served_visit
