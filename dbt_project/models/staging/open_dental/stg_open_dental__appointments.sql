-- Broken is missed or cancelled alike: the procedure that the practice charts for it tells which.
with charted as (
    select
        source_name,
        appointment_id,
        max(case when code = 'D9986' then 1 else 0 end) as is_missed,
        max(case when code = 'D9987' then 1 else 0 end) as is_cancelled
    from {{ source('open_dental', 'procedurelogs') }}
    where
        code in ('D9986', 'D9987')
        -- deleted from the chart
        and status <> 'D'
    group by source_name, appointment_id
)

select
    appointments.source_name,
    appointments.appointment_id,
    appointments.patient_id,
    appointments.booked_at,
    false as booked_at_is_date,
    appointments.scheduled_at,
    case
        when appointments.status = 'Complete' then 'completed'
        when appointments.status = 'Broken' and charted.is_missed = 1 then 'no_show'
        when appointments.status = 'Broken' and charted.is_cancelled = 1 then 'cancelled_by_patient'
        when appointments.status = 'Broken' then appointments.broken_means
        -- taken off the schedule, waiting for another time
        when appointments.status = 'UnschedList' then 'rescheduled'
        when appointments.status in ('Scheduled', 'ASAP')
            then case
                when appointments.seated_at is not null then 'in_progress'
                when appointments.arrived_at is not null then 'arrived'
                when
                    lower(appointments.confirmed) like '%confirmed%'
                    and lower(appointments.confirmed) not like '%unconfirmed%'
                    and lower(appointments.confirmed) not like '%not confirmed%'
                    then 'confirmed'
                else 'booked'
            end
        else 'unknown'
    end as status,
    appointments.status as status_raw,
    clinics.name as branch,
    case when appointments.operatory_id is not null then concat('Op ', appointments.operatory_id) end as room,
    coalesce(providers.name, appointments.provider) as doctor,
    appointments.service,
    appointments.minutes,
    cast(null as varchar) as contact_ref,
    cast(null as varchar) as visitor_id,
    cast(null as varchar) as user_ref
from {{ source('open_dental', 'appointments') }} as appointments
left join charted
    on
        appointments.source_name = charted.source_name
        and appointments.appointment_id = charted.appointment_id
left join {{ source('open_dental', 'clinics') }} as clinics
    on
        appointments.source_name = clinics.source_name
        and appointments.clinic_id = clinics.clinic_id
left join {{ source('open_dental', 'providers') }} as providers
    on
        appointments.source_name = providers.source_name
        and appointments.provider_id = providers.provider_id
-- a planned appointment is a plan of treatment without a time, a note holds a place in the schedule
where appointments.status not in ('Planned', 'PtNote', 'PtNoteCompleted')
