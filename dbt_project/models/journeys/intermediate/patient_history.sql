{{ config(schema='intermediate', materialized='table') }}

with completed as (
    select
        patient_id,
        visit_id,
        source_name,
        visited_at,
        local_date,
        appointment_id,
        doctor,
        branch,
        service_line,
        clinic_says_primary
    from {{ ref('visits') }}
    where is_completed
),

history as (
    select min(local_date) as first_landed_day
    from completed
),

first_visits as (
    select *
    from completed
    qualify row_number() over (partition by patient_id order by visited_at, visit_id, source_name) = 1
),

bookings as (
    select
        first_visits.patient_id,
        appointments.appointment_id,
        appointments.booked_at,
        coalesce(appointments.booked_at_is_date, false) as booked_at_is_date
    from first_visits
    inner join {{ ref('appointments') }} as appointments
        on first_visits.appointment_id = appointments.appointment_id
    -- two systems may number their appointments alike: the visit's own system knows best
    qualify row_number() over (
        partition by first_visits.patient_id
        order by
            case when appointments.source_name = first_visits.source_name then 0 else 1 end,
            appointments.source_name
    ) = 1
),

evidence as (
    select
        first_visits.patient_id,
        first_visits.visit_id as first_visit_id,
        first_visits.visited_at as first_visit_at,
        first_visits.local_date as first_visit_date,
        first_visits.doctor as first_doctor,
        first_visits.branch,
        first_visits.service_line,
        bookings.appointment_id,
        bookings.booked_at,
        bookings.booked_at_is_date,
        patients.self_reported_source,
        {{ clinic_date('patients.registered_at') }} as registered_on,
        first_visits.clinic_says_primary,
        history.first_landed_day
    from first_visits
    cross join history
    left join bookings
        on first_visits.patient_id = bookings.patient_id
    left join {{ ref('patients') }} as patients
        on first_visits.patient_id = patients.patient_id
),

judged as (
    select
        *,
        case
            when registered_on < first_landed_day then 'registered_before_history'
            when not clinic_says_primary then 'clinic_says_not_primary'
            when registered_on is not null then 'registered_within_history'
            when clinic_says_primary then 'clinic_says_primary'
            when first_visit_date < first_landed_day + {{ var('history_margin_days') }}
                then 'within_history_margin'
            else 'after_history_margin'
        end as reason
    from evidence
)

select
    patient_id,
    first_visit_id,
    first_visit_at,
    first_visit_date,
    first_doctor,
    branch,
    service_line,
    appointment_id,
    booked_at,
    coalesce(booked_at_is_date, false) as booked_at_is_date,
    -- a booking written down after the visit had begun, or known only by its day, is not later than the visit
    coalesce(least(booked_at, first_visit_at), first_visit_at) as converted_at,
    self_reported_source,
    registered_on,
    clinic_says_primary,
    first_landed_day,
    reason in ('registered_within_history', 'clinic_says_primary', 'after_history_margin') as is_new_patient,
    reason
from judged
