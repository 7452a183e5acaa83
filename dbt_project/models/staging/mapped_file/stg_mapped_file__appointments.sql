{%- set has_visits = ['mapped_file', 'visits'] in var('streams') -%}
{#- Enabled where at least one of the two streams is configured. -#}
{%- set has_appointments = not has_visits or ['mapped_file', 'appointments'] in var('streams') -%}

with appointments as (
    {% if has_appointments -%}
    select
        source_name,
        appointment_id,
        patient_id,
        booked_at,
        booked_at_is_date,
        scheduled_at,
        status,
        status_raw,
        branch,
        room,
        doctor,
        service,
        minutes,
        contact_ref,
        visitor_id,
        user_ref,
        1 as precedence,
        3 as status_precedence,
        scheduled_at as told_at,
        appointment_id as told_by,
        _row_number as line_number
    from {{ source('mapped_file', 'appointments') }}
    {%- endif %}
    {% if has_appointments and has_visits %}
    union all
    {% endif %}
    {% if has_visits -%}
    select
        source_name,
        coalesce(appointment_id, visit_id) as appointment_id,
        patient_id,
        booked_at,
        booked_at_is_date,
        coalesce(scheduled_at, visited_at) as scheduled_at,
        status,
        status_raw,
        branch,
        room,
        doctor,
        service,
        minutes,
        contact_ref,
        visitor_id,
        user_ref,
        2 as precedence,
        case
            when status = 'completed' then 1
            when status in ('booked', 'confirmed', 'unknown') then 4
            else 2
        end as status_precedence,
        visited_at as told_at,
        visit_id as told_by,
        _row_number as line_number
    from {{ source('mapped_file', 'visits') }}
    where is_appointment
    {%- endif %}
),

ranked as (
    select
        *,
        row_number() over (
            partition by source_name, appointment_id
            order by precedence, told_at, told_by, line_number
        ) as rank
    from appointments
)

-- The appointment export knows the booking best, the visit how it ended: a list of what lies ahead may never
-- be sent again once the day has passed.
select
    source_name,
    appointment_id,
    min_by(patient_id, rank) filter (where patient_id is not null) as patient_id,
    min_by(booked_at, rank) filter (where booked_at is not null) as booked_at,
    min_by(booked_at_is_date, rank) filter (where booked_at is not null) as booked_at_is_date,
    min_by(scheduled_at, rank) filter (where scheduled_at is not null) as scheduled_at,
    min_by(status, status_precedence * 1000000 + rank) as status,
    min_by(status_raw, status_precedence * 1000000 + rank) as status_raw,
    min_by(branch, rank) filter (where branch is not null) as branch,
    min_by(room, rank) filter (where room is not null) as room,
    min_by(doctor, rank) filter (where doctor is not null) as doctor,
    min_by(service, rank) filter (where service is not null) as service,
    min_by(minutes, rank) filter (where minutes is not null) as minutes,
    min_by(contact_ref, rank) filter (where contact_ref is not null) as contact_ref,
    min_by(visitor_id, rank) filter (where visitor_id is not null) as visitor_id,
    min_by(user_ref, rank) filter (where user_ref is not null) as user_ref
from ranked
group by source_name, appointment_id
