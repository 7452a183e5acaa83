select
    appointments.source_name,
    appointments.appointment_id,
    coalesce(cards.patient_id, appointments.patient_id) as patient_id,
    appointments.patient_id as patient_id_raw,
    appointments.booked_at,
    coalesce(appointments.booked_at_is_date, false) as booked_at_is_date,
    appointments.scheduled_at,
    {{ clinic_date('appointments.scheduled_at') }} as local_date,
    {{ known_status('appointments.status') }} as status,
    appointments.status_raw,
    appointments.branch,
    appointments.room,
    appointments.doctor,
    appointments.service,
    appointments.minutes,
    appointments.contact_ref,
    appointments.visitor_id,
    appointments.user_ref
from {{ ref('all_appointments') }} as appointments
left join {{ ref('patient_cards') }} as cards
    on appointments.patient_id = cards.card_id
