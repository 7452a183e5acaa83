{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Time that somebody took: appointments that were not given back, and visits that none announced. One row
-- each, with the shift whose time it takes.
with money as (
    select
        visit_source_name,
        visit_id,
        sum(amount) as revenue
    from {{ ref('payment_visits') }}
    group by all
),

kept as (
    select
        links.appointment_source_name,
        links.appointment_id,
        case when links.appointment_id is null then links.source_name end as source_name,
        case when links.appointment_id is null then links.visit_id end as visit_id,
        min(visits.visited_at) as visited_at,
        {% for column in ['doctor', 'branch', 'room'] -%}
        min_by(visits.{{ column }}, struct_pack(visited_at := visits.visited_at, visit_id := visits.visit_id))
            as {{ column }},
        {% endfor -%}
        sum(coalesce(money.revenue, 0)) as revenue
    from {{ ref('visit_appointments') }} as links
    inner join {{ ref('visits') }} as visits
        on
            links.source_name = visits.source_name
            and links.visit_id = visits.visit_id
    left join money
        on
            links.source_name = money.visit_source_name
            and links.visit_id = money.visit_id
    group by all
),

-- planned lengths; a length of nothing is none
lengths as (
    select
        source_name,
        appointment_id,
        doctor,
        minutes
    from {{ ref('appointments') }}
    where
        minutes > 0
        and status != 'entered_in_error'
),

-- means to the second, halves up
doctor_lengths as (
    select
        doctor,
        cast(round(sum(minutes) * 60.0 / count(*), 0) as bigint) as length_s
    from lengths
    where doctor is not null
    group by doctor
),

clinic_length as (
    select cast(round(sum(minutes) * 60.0 / count(*), 0) as bigint) as length_s
    from lengths
),

taken as (
    select
        concat_ws(' / ', 'appointment', appointments.source_name, appointments.appointment_id) as booking_id,
        coalesce(appointments.scheduled_at, kept.visited_at) as starts_at,
        coalesce(appointments.doctor, kept.doctor) as doctor,
        coalesce(appointments.branch, kept.branch) as branch,
        coalesce(appointments.room, kept.room) as room,
        case when appointments.minutes > 0 then appointments.minutes end as minutes,
        kept.appointment_id is not null
        or appointments.status in ('arrived', 'in_progress', 'completed') as is_attended,
        kept.appointment_id is not null as is_visit,
        kept.revenue
    from {{ ref('appointments') }} as appointments
    left join kept
        on
            appointments.source_name = kept.appointment_source_name
            and appointments.appointment_id = kept.appointment_id
    where
        kept.appointment_id is not null
        or appointments.status not in (
            'cancelled_by_patient', 'cancelled_by_clinic', 'rescheduled', 'entered_in_error'
        )

    union all

    select
        concat_ws(' / ', 'visit', source_name, visit_id) as booking_id,
        visited_at as starts_at,
        doctor,
        branch,
        room,
        cast(null as bigint) as minutes,
        true as is_attended,
        true as is_visit,
        revenue
    from kept
    where visit_id is not null
),

timed as (
    select
        taken.booking_id,
        taken.doctor,
        taken.branch,
        taken.room,
        taken.is_attended,
        taken.is_visit,
        taken.revenue,
        epoch_us(taken.starts_at) as starts_us,
        1000000 * coalesce(taken.minutes * 60, doctor_lengths.length_s, clinic_length.length_s) as length_us
    from taken
    left join doctor_lengths
        on taken.doctor = doctor_lengths.doctor
    cross join clinic_length
    where taken.starts_at is not null
),

-- by day of UTC, so that what may meet is found by equality
days as (
    select
        *,
        unnest(range(
            starts_us // {{ days_us(1) }},
            (starts_us + coalesce(length_us, 1) - 1) // {{ days_us(1) }} + 1
        )) as day_no
    from timed
),

span_days as (
    select
        *,
        unnest(range(starts_us // {{ days_us(1) }}, (ends_us - 1) // {{ days_us(1) }} + 1)) as day_no
    from {{ ref('shift_spans') }}
),

-- the doctor's own shift, else one of the room that names no doctor; without a doctor any shift in the room
found as (
    select
        days.booking_id,
        span_days.lane,
        span_days.branch,
        span_days.resource,
        span_days.room,
        span_days.doctor,
        1 as precedence,
        greatest(days.starts_us, span_days.starts_us) as meets_us
    from days
    inner join span_days
        on
            days.doctor = span_days.doctor
            and days.day_no = span_days.day_no
    where
        days.starts_us < span_days.ends_us
        and span_days.starts_us < days.starts_us + coalesce(days.length_us, 1)
        and coalesce(days.branch = span_days.branch, true)

    union all

    select
        days.booking_id,
        span_days.lane,
        span_days.branch,
        span_days.resource,
        span_days.room,
        span_days.doctor,
        case when span_days.doctor is null then 2 else 3 end as precedence,
        greatest(days.starts_us, span_days.starts_us) as meets_us
    from days
    inner join span_days
        on
            days.room = span_days.room
            and days.day_no = span_days.day_no
    where
        days.starts_us < span_days.ends_us
        and span_days.starts_us < days.starts_us + coalesce(days.length_us, 1)
        and coalesce(days.branch = span_days.branch, true)
        and (span_days.doctor is null or days.doctor is null)
),

chosen as (
    select *
    from found
    qualify row_number() over (partition by booking_id order by precedence, meets_us, lane) = 1
)

select
    timed.booking_id,
    chosen.lane,
    case when chosen.lane is null then timed.branch else chosen.branch end as branch,
    coalesce(chosen.resource, '(no shift)') as resource,
    case when chosen.lane is null then timed.room else chosen.room end as room,
    case when chosen.lane is null then timed.doctor else chosen.doctor end as doctor,
    timed.starts_us,
    timed.length_us,
    timed.is_attended,
    timed.is_visit,
    timed.revenue
from timed
left join chosen
    on timed.booking_id = chosen.booking_id
