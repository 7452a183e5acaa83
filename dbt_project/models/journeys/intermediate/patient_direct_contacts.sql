{{ config(schema='intermediate', materialized='table') }}

with by_phone as (
    select
        patient_history.patient_id,
        contacts.contact_id
    from {{ ref('patient_history') }} as patient_history
    inner join {{ ref('patient_phones') }} as patient_phones
        on
            patient_history.patient_id = patient_phones.patient_id
            and patient_phones.is_linking
    inner join {{ ref('contacts') }} as contacts
        on patient_phones.phone_key = contacts.phone_key
    where patient_history.is_new_patient
),

-- One reference names one contact. Two sources may number their contacts alike, so that a bare number can fit
-- several: one that carries the patient's phone is meant, else the earliest.
named as (
    select
        bookings.patient_id,
        bookings.is_of_first_visit,
        names.contact_id
    from {{ ref('patient_bookings') }} as bookings
    inner join {{ ref('contact_aliases') }} as names
        on bookings.contact_ref = names.contact_name
    left join by_phone
        on
            bookings.patient_id = by_phone.patient_id
            and names.contact_id = by_phone.contact_id
    qualify row_number() over (
        partition by bookings.patient_id, bookings.appointment_id, bookings.contact_ref
        order by
            case when names.is_full_name then 0 else 1 end,
            case when by_phone.contact_id is not null then 0 else 1 end,
            names.contacted_at,
            names.contact_id
    ) = 1
),

found as (
    select
        patient_id,
        contact_id,
        true as is_by_phone,
        false as is_booking_reference
    from by_phone

    union all

    select
        patient_id,
        contact_id,
        false as is_by_phone,
        is_of_first_visit as is_booking_reference
    from named

    union all

    select
        bookings.patient_id,
        contacts.contact_id,
        false as is_by_phone,
        bookings.is_of_first_visit as is_booking_reference
    from {{ ref('patient_bookings') }} as bookings
    inner join {{ ref('contacts') }} as contacts
        on bookings.appointment_id = contacts.appointment_ref
)

select
    patient_id,
    contact_id,
    bool_or(is_by_phone) as is_by_phone,
    bool_or(is_booking_reference) as is_booking_reference
from found
group by all
