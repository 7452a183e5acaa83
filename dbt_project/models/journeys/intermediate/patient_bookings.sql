{{ config(schema='intermediate', materialized='table') }}

select
    patient_history.patient_id,
    appointments.appointment_id,
    appointments.contact_ref,
    appointments.visitor_id,
    appointments.user_ref,
    coalesce(appointments.appointment_id = patient_history.appointment_id, false) as is_of_first_visit
from {{ ref('patient_history') }} as patient_history
inner join {{ ref('appointments') }} as appointments
    on patient_history.patient_id = appointments.patient_id
where patient_history.is_new_patient

union all

-- the visit names its appointment even where the appointment does not name the patient
select
    patient_history.patient_id,
    appointments.appointment_id,
    appointments.contact_ref,
    appointments.visitor_id,
    appointments.user_ref,
    true as is_of_first_visit
from {{ ref('patient_history') }} as patient_history
inner join {{ ref('appointments') }} as appointments
    on patient_history.appointment_id = appointments.appointment_id
where
    patient_history.is_new_patient
    and appointments.patient_id is distinct from patient_history.patient_id
