-- Bookings as an exported list of visits tells them; posted documents tell none.
select
    source_name,
    coalesce(appointment_id, visit_id) as appointment_id,
    min_by(patient_id, line_number) as patient_id,
    min_by(booked_at, line_number) filter (where booked_at is not null) as booked_at,
    min_by(booked_at_is_date, line_number) filter (where booked_at is not null) as booked_at_is_date,
    min(coalesce(scheduled_at, visited_at)) as scheduled_at,
    case when bool_or(status = 'completed') then 'completed' else min_by(status, line_number) end as status,
    coalesce(
        min_by(status_raw, line_number) filter (where status = 'completed' and status_raw is not null),
        min_by(status_raw, line_number) filter (where status_raw is not null)
    ) as status_raw,
    min_by(branch, line_number) filter (where branch is not null) as branch,
    min_by(room, line_number) filter (where room is not null) as room,
    min_by(doctor, line_number) filter (where doctor is not null) as doctor,
    min_by(service, line_number) filter (where service is not null) as service,
    min_by(minutes, line_number) filter (where minutes is not null) as minutes,
    min_by(contact_ref, line_number) filter (where contact_ref is not null) as contact_ref,
    min_by(visitor_id, line_number) filter (where visitor_id is not null) as visitor_id,
    min_by(user_ref, line_number) filter (where user_ref is not null) as user_ref
from {{ ref('stg_onec__visit_rows') }}
where is_appointment
group by source_name, coalesce(appointment_id, visit_id)
