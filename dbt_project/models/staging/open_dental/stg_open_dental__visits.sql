with money as (
    select
        source_name,
        visit_id,
        sum(amount) as billed,
        sum(discount) as discount,
        max(currency) as currency
    from {{ ref('stg_open_dental__done_procedures') }}
    group by source_name, visit_id
),

-- a day's work without an appointment
unplanned as (
    select
        source_name,
        visit_id,
        min(patient_id) as patient_id,
        min(done_at) as visited_at,
        min_by(branch, try_cast(procedure_id as bigint)) filter (where branch is not null) as branch,
        min_by(doctor, try_cast(procedure_id as bigint)) filter (where doctor is not null) as doctor
    from {{ ref('stg_open_dental__done_procedures') }}
    where appointment_id is null
    group by source_name, visit_id
),

visits as (
    select
        appointments.source_name,
        appointments.appointment_id as visit_id,
        appointments.appointment_id,
        appointments.patient_id,
        appointments.scheduled_at as visited_at,
        appointments.branch,
        appointments.room,
        appointments.doctor,
        appointments.status_raw,
        booked.is_new_patient as clinic_says_primary
    from {{ ref('stg_open_dental__appointments') }} as appointments
    inner join {{ source('open_dental', 'appointments') }} as booked
        on
            appointments.source_name = booked.source_name
            and appointments.appointment_id = booked.appointment_id
    where
        appointments.status = 'completed'
        and appointments.scheduled_at is not null

    union all

    select
        source_name,
        visit_id,
        cast(null as varchar) as appointment_id,
        patient_id,
        visited_at,
        branch,
        cast(null as varchar) as room,
        doctor,
        'C' as status_raw,
        cast(null as boolean) as clinic_says_primary
    from unplanned
)

select
    visits.source_name,
    visits.visit_id,
    visits.appointment_id,
    visits.patient_id,
    visits.visited_at,
    visits.branch,
    visits.room,
    visits.doctor,
    cast(null as varchar) as care_setting,
    cast(null as varchar) as diagnosis,
    'completed' as status,
    visits.status_raw,
    money.billed,
    money.discount,
    money.currency,
    visits.clinic_says_primary
from visits
left join money
    on
        visits.source_name = money.source_name
        and visits.visit_id = money.visit_id
