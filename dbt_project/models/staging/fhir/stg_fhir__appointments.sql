-- `fulfilled` says only that planning ended and the encounter carries on: whether a visit was, that says.
with visits as (
    select
        source_name,
        appointment_id,
        bool_or(status = 'completed') as is_completed,
        bool_or(status = 'in_progress') as is_in_progress,
        bool_or(status = 'arrived') as is_arrived
    from {{ ref('stg_fhir__visits') }}
    where appointment_id is not null
    group by source_name, appointment_id
),

appointments as (
    select
        *,
        case
            when practitioner_role_id is not null or practitioner_role_identifier is not null
                then 'practitioner_role'
            else 'practitioner'
        end as staff_resource,
        coalesce(
            'id:' || practitioner_id,
            'identifier:' || practitioner_identifier,
            'id:' || practitioner_role_id,
            'identifier:' || practitioner_role_identifier
        ) as staff_key,
        coalesce('id:' || location_id, 'identifier:' || location_identifier) as location_key
    from {{ source('fhir', 'appointments') }}
    where
        not coalesce(is_deleted, false)
        -- a wish and a place in a queue are no bookings
        and status not in ('proposed', 'waitlist')
)

select
    appointments.source_name,
    appointments.appointment_id,
    appointments.patient_id,
    appointments.booked_at,
    appointments.booked_at_is_date,
    appointments.scheduled_at,
    case
        when appointments.status = 'entered-in-error' then 'entered_in_error'
        when appointments.status = 'noshow' then 'no_show'
        when
            appointments.status = 'cancelled'
            and (
                appointments.cancelation_code like 'prov%'
                or appointments.cancelation_code in ('maint', 'meds-inc', 'oth-room', 'oth-err', 'oth-oerr')
            )
            then 'cancelled_by_clinic'
        when appointments.status = 'cancelled' then 'cancelled_by_patient'
        when visits.is_completed then 'completed'
        when appointments.status = 'fulfilled' and visits.is_in_progress then 'in_progress'
        when appointments.status = 'fulfilled' and visits.is_arrived then 'arrived'
        when appointments.status = 'fulfilled' then 'confirmed'
        when appointments.status in ('arrived', 'checked-in') then 'arrived'
        when appointments.status in ('booked', 'pending') then 'booked'
        else 'unknown'
    end as status,
    appointments.status as status_raw,
    coalesce(places.branch, appointments.location_name) as branch,
    places.room,
    coalesce(staff.doctor, appointments.practitioner_name) as doctor,
    appointments.service,
    appointments.minutes,
    -- FHIR has no place for the enquiry that an appointment came from
    cast(null as varchar) as contact_ref,
    cast(null as varchar) as visitor_id,
    cast(null as varchar) as user_ref
from appointments
left join visits
    on
        appointments.source_name = visits.source_name
        and appointments.appointment_id = visits.appointment_id
left join {{ ref('stg_fhir__staff') }} as staff
    on
        appointments.source_name = staff.source_name
        and appointments.staff_resource = staff.resource
        and appointments.staff_key = staff.reference_key
left join {{ ref('stg_fhir__places') }} as places
    on
        appointments.source_name = places.source_name
        and appointments.location_key = places.reference_key
