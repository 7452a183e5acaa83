{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- What patients agreed to come for, each agreement once: appointments, and visits that none announced.
with completed as (
    select
        source_name,
        visit_id,
        patient_id,
        visited_at
    from {{ ref('visits') }}
    where is_completed
),

first_visits as (
    select
        completed.source_name,
        completed.visit_id,
        completed.patient_id
    from completed
    inner join {{ ref('patient_history') }} as history
        on
            completed.patient_id = history.patient_id
            and completed.visit_id = history.first_visit_id
            and completed.visited_at = history.first_visit_at
    where history.is_new_patient
    qualify row_number() over (partition by completed.patient_id order by completed.source_name) = 1
),

came as (
    select
        coalesce(announcing.appointment_source_name, completed.source_name) as source_name,
        announcing.appointment_id,
        case when announcing.appointment_id is null then completed.visit_id end as visit_id,
        min(completed.patient_id) as patient_id,
        min(completed.visited_at) as visited_at,
        count(first_visits.patient_id) as new_patients,
        min(first_visits.patient_id) as new_patient_id
    from completed
    left join {{ ref('visit_appointments') }} as announcing
        on
            completed.source_name = announcing.source_name
            and completed.visit_id = announcing.visit_id
    left join first_visits
        on
            completed.source_name = first_visits.source_name
            and completed.visit_id = first_visits.visit_id
    group by all
),

bookings as (
    select
        concat('appointment:', appointments.source_name, ':', appointments.appointment_id) as booking_id,
        appointments.appointment_id,
        coalesce(appointments.patient_id, came.patient_id) as patient_id,
        appointments.status,
        appointments.booked_at,
        appointments.booked_at_is_date,
        coalesce(came.visited_at, appointments.scheduled_at) as takes_place_at,
        appointments.local_date as scheduled_on,
        came.visited_at is not null or appointments.status = 'completed' as is_kept,
        coalesce(came.new_patients, 0) as new_patients,
        came.new_patient_id,
        appointments.contact_ref,
        appointments.visitor_id,
        appointments.user_ref
    from {{ ref('appointments') }} as appointments
    left join came
        on
            appointments.source_name = came.source_name
            and appointments.appointment_id = came.appointment_id

    union all

    select
        concat('visit:', source_name, ':', visit_id) as booking_id,
        cast(null as varchar) as appointment_id,
        patient_id,
        'completed' as status,
        cast(null as timestamptz) as booked_at,
        false as booked_at_is_date,
        visited_at as takes_place_at,
        {{ clinic_date('visited_at') }} as scheduled_on,
        true as is_kept,
        new_patients,
        new_patient_id,
        cast(null as varchar) as contact_ref,
        cast(null as varchar) as visitor_id,
        cast(null as varchar) as user_ref
    from came
    where visit_id is not null
),

-- A moved appointment is replaced by what the patient booked then or later; of several that were moved and
-- replaced by nothing the last one stands, with its time still open.
ordered as (
    select
        booking_id,
        made_at,
        max(case when not is_moved then made_at end) over (partition by person) as last_made_at,
        row_number() over (
            partition by person, is_moved
            order by made_at desc nulls last, takes_place_at desc nulls last, booking_id desc
        ) as place
    from (
        select
            booking_id,
            coalesce(patient_id, booking_id) as person,
            status = 'rescheduled' and not is_kept as is_moved,
            takes_place_at,
            coalesce(booked_at, takes_place_at) as made_at
        from bookings
        where
            status != 'entered_in_error'
            or is_kept
    ) as dated
)

select
    bookings.booking_id,
    bookings.appointment_id,
    bookings.patient_id,
    bookings.booked_at,
    bookings.booked_at_is_date,
    -- as for journeys: a booking written down after the visit had begun is not later than the visit
    coalesce(least(bookings.booked_at, bookings.takes_place_at), bookings.takes_place_at, bookings.booked_at)
        as agreed_at,
    bookings.is_kept
    or (bookings.status != 'rescheduled' and coalesce(bookings.scheduled_on <= as_of.as_of, false)) as is_due,
    bookings.is_kept,
    bookings.new_patients,
    bookings.new_patient_id,
    bookings.contact_ref,
    bookings.visitor_id,
    bookings.user_ref
from bookings
cross join {{ ref('as_of') }} as as_of
-- entries made in error are not in it
inner join ordered
    on bookings.booking_id = ordered.booking_id
where
    bookings.is_kept
    or bookings.status != 'rescheduled'
    or (ordered.place = 1 and not coalesce(ordered.last_made_at >= ordered.made_at, false))
