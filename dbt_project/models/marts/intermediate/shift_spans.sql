{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Shift time that counts, no minute of one doctor or of one room twice.
with planned as (
    select
        source_name,
        shift_id,
        branch,
        resource,
        room,
        doctor,
        epoch_us(starts_at) as starts_us,
        epoch_us(ends_at) as ends_us
    from {{ ref('shifts') }}
    -- an end that is not after the start is a slip of the pen: there is no time to count
    where starts_at < ends_at
),

-- of overlapping shifts of one doctor the earlier keeps the common time
doctor_spans as (
    select
        branch,
        resource,
        room,
        doctor,
        greatest(
            starts_us,
            coalesce(
                max(ends_us) over (
                    partition by doctor
                    order by starts_us asc, ends_us desc, source_name asc, shift_id asc
                    rows between unbounded preceding and 1 preceding
                ),
                starts_us
            )
        ) as starts_us,
        ends_us
    from planned
    where doctor is not null
),

rooms as (
    select distinct
        branch,
        resource,
        room
    from planned
    where
        doctor is null
        and room is not null
),

-- how many shifts of the room itself, and of doctors in it, begin or end at an instant
changes as (
    select
        branch,
        resource,
        room,
        unnest([starts_us, ends_us]) as at_us,
        unnest([1, -1]) as room_change,
        0 as doctor_change
    from planned
    where
        doctor is null
        and room is not null

    union all

    select
        rooms.branch,
        rooms.resource,
        rooms.room,
        unnest([doctor_spans.starts_us, doctor_spans.ends_us]) as at_us,
        0 as room_change,
        unnest([1, -1]) as doctor_change
    from rooms
    inner join doctor_spans
        on
            rooms.room = doctor_spans.room
            and coalesce(rooms.branch, '') = coalesce(doctor_spans.branch, '')
    where doctor_spans.starts_us < doctor_spans.ends_us
),

instants as (
    select
        branch,
        resource,
        room,
        at_us,
        sum(room_change) as room_change,
        sum(doctor_change) as doctor_change
    from changes
    group by all
),

-- a room's own shift counts while no doctor has a shift in it
room_spans as (
    select
        branch,
        resource,
        room,
        at_us as starts_us,
        lead(at_us) over room_time as ends_us,
        sum(room_change) over room_time as room_shifts,
        sum(doctor_change) over room_time as doctor_shifts
    from instants
    window room_time as (partition by branch, resource, room order by at_us)
)

select
    concat('doctor / ', doctor) as lane,
    branch,
    coalesce(resource, '(unknown)') as resource,
    room,
    doctor,
    starts_us,
    ends_us
from doctor_spans
where starts_us < ends_us

union all

select
    concat_ws(' / ', 'room', coalesce(branch, ''), room, coalesce(resource, '')) as lane,
    branch,
    coalesce(resource, '(unknown)') as resource,
    room,
    cast(null as varchar) as doctor,
    starts_us,
    ends_us
from room_spans
where
    room_shifts > 0
    and doctor_shifts = 0

union all

-- neither doctor nor room: nothing to tell one from the other by
select
    concat_ws(' / ', 'shift', source_name, shift_id) as lane,
    branch,
    coalesce(resource, '(unknown)') as resource,
    cast(null as varchar) as room,
    cast(null as varchar) as doctor,
    starts_us,
    ends_us
from planned
where
    doctor is null
    and room is null
