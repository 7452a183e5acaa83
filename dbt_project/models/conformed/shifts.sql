with planned as (
    select
        source_name,
        shift_id,
        resource,
        doctor,
        room,
        branch,
        starts_at,
        ends_at
    from {{ ref('all_shifts') }}

    union all

    select
        source_name,
        cast(null as varchar) as shift_id,
        resource,
        doctor,
        room,
        branch,
        starts_at,
        ends_at
    from {{ ref('stg_reference__shifts') }}
)

select
    source_name,
    coalesce(
        shift_id,
        concat_ws(
            ' / ',
            coalesce(resource, ''),
            coalesce(doctor, ''),
            coalesce(room, ''),
            cast(epoch_us(starts_at) as varchar)
        )
    ) as shift_id,
    resource,
    doctor,
    room,
    branch,
    starts_at,
    ends_at,
    {{ clinic_date('starts_at') }} as local_date
from planned
-- the clinic's file and a mapped one may both carry a shift without an id
qualify row_number() over (
    partition by
        source_name,
        shift_id,
        case when shift_id is null then resource end,
        case when shift_id is null then doctor end,
        case when shift_id is null then room end,
        case when shift_id is null then branch end,
        case when shift_id is null then starts_at end
    order by ends_at desc, branch asc
) = 1
