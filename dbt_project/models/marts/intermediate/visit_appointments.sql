{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- The appointment that each completed visit came of: the one that it names, else an open or kept one of the
-- patient on that day, the nearest first. NULL where nobody announced the visit.
with completed as (
    select
        source_name,
        visit_id,
        appointment_id,
        patient_id,
        visited_at,
        local_date
    from {{ ref('visits') }}
    where is_completed
),

candidates as (
    select
        completed.source_name,
        completed.visit_id,
        appointments.source_name as appointment_source_name,
        appointments.appointment_id,
        1 as precedence,
        case when appointments.source_name = completed.source_name then 0 else 1 end as distance
    from completed
    inner join {{ ref('appointments') }} as appointments
        on completed.appointment_id = appointments.appointment_id
    where
        appointments.patient_id is null
        or completed.patient_id = appointments.patient_id

    union all

    select
        completed.source_name,
        completed.visit_id,
        appointments.source_name as appointment_source_name,
        appointments.appointment_id,
        2 as precedence,
        abs({{ elapsed_us('completed.visited_at', 'appointments.scheduled_at') }}) as distance
    from completed
    inner join {{ ref('appointments') }} as appointments
        on
            completed.patient_id = appointments.patient_id
            and completed.local_date = appointments.local_date
    where appointments.status in ('booked', 'confirmed', 'arrived', 'in_progress', 'completed', 'unknown')
),

chosen as (
    select *
    from candidates
    qualify row_number() over (
        partition by source_name, visit_id
        order by precedence, distance, appointment_source_name, appointment_id
    ) = 1
)

select
    completed.source_name,
    completed.visit_id,
    chosen.appointment_source_name,
    chosen.appointment_id
from completed
left join chosen
    on
        completed.source_name = chosen.source_name
        and completed.visit_id = chosen.visit_id
