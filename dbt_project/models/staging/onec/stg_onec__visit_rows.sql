-- One row per service of a visit. Exports write names, documents refer to them.
select
    visits.source_name,
    visits.visit_id,
    visits.line_id,
    visits.appointment_id,
    visits.patient_id,
    visits.visited_at,
    coalesce(visits.branch, branches.name) as branch,
    coalesce(visits.room, rooms.name) as room,
    coalesce(visits.doctor, doctors.name) as doctor,
    visits.care_setting,
    visits.diagnosis,
    visits.status,
    visits.status_raw,
    coalesce(visits.service, services.name) as service,
    coalesce(visits.amount, visits.billed) as amount,
    visits.discount,
    visits.paid,
    visits.refund,
    visits.paid_at,
    visits.payer_type,
    visits.currency,
    visits.clinic_says_primary,
    visits.is_line,
    visits.is_appointment,
    visits.booked_at,
    visits.booked_at_is_date,
    visits.scheduled_at,
    visits.minutes,
    visits.contact_ref,
    visits.visitor_id,
    visits.user_ref,
    visits.phone_keys,
    visits.email_keys,
    visits.birth_year,
    visits.sex,
    visits.registered_at,
    visits.self_reported_source,
    -- the lines of a visit all come from one file or answer, so the row number orders them
    visits._row_number as line_number
from {{ source('onec', 'visits') }} as visits
left join {{ source('onec', 'catalogs') }} as services
    on
        visits.source_name = services.source_name
        and visits.service_key = services.ref_key
left join {{ source('onec', 'catalogs') }} as doctors
    on
        visits.source_name = doctors.source_name
        and visits.doctor_key = doctors.ref_key
left join {{ source('onec', 'catalogs') }} as branches
    on
        visits.source_name = branches.source_name
        and visits.branch_key = branches.ref_key
left join {{ source('onec', 'catalogs') }} as rooms
    on
        visits.source_name = rooms.source_name
        and visits.room_key = rooms.ref_key
