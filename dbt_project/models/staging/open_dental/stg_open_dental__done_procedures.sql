-- Done work and the visit it belongs to: its own appointment, where that took place; else one that the
-- patient completed that day; else a visit of that day without an appointment.
with completed as (
    select
        source_name,
        appointment_id,
        patient_id,
        scheduled_on
    from {{ source('open_dental', 'appointments') }}
    where status = 'Complete'
),

of_the_day as (
    select
        source_name,
        patient_id,
        scheduled_on,
        min_by(appointment_id, try_cast(appointment_id as bigint)) as appointment_id
    from completed
    group by source_name, patient_id, scheduled_on
)

select
    procedures.source_name,
    procedures.procedure_id,
    procedures.patient_id,
    coalesce(own.appointment_id, of_the_day.appointment_id) as appointment_id,
    coalesce(
        own.appointment_id,
        of_the_day.appointment_id,
        concat('day:', procedures.patient_id, ':', cast(procedures.done_on as varchar))
    ) as visit_id,
    procedures.done_on,
    procedures.done_at,
    procedures.service,
    procedures.code,
    -- the fee is that of one unit
    procedures.fee * procedures.units as amount,
    procedures.discount,
    procedures.currency,
    coalesce(providers.name, procedures.provider) as doctor,
    clinics.name as branch
from {{ source('open_dental', 'procedurelogs') }} as procedures
left join completed as own
    on
        procedures.source_name = own.source_name
        and procedures.appointment_id = own.appointment_id
left join of_the_day
    on
        procedures.source_name = of_the_day.source_name
        and procedures.patient_id = of_the_day.patient_id
        and procedures.done_on = of_the_day.scheduled_on
left join {{ source('open_dental', 'providers') }} as providers
    on
        procedures.source_name = providers.source_name
        and procedures.provider_id = providers.provider_id
left join {{ source('open_dental', 'clinics') }} as clinics
    on
        procedures.source_name = clinics.source_name
        and procedures.clinic_id = clinics.clinic_id
where
    procedures.status = 'C'
    and procedures.done_on is not null
    -- a missed or cancelled appointment is charted as a procedure, but nobody came
    and coalesce(procedures.code, '') not in ('D9986', 'D9987')
