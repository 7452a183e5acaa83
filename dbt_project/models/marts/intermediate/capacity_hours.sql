{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Shift time, and the time and visits that were booked and attended in and outside it, by local day and hour.
{#- Every zone in use is a whole number of quarter-hours off UTC: a quarter of UTC lies in one local hour. #}
{%- set quarter = seconds_us(15 * 60) %}
with taken as (
    select
        'booked' as measure,
        lane,
        branch,
        resource,
        room,
        doctor,
        starts_us,
        length_us
    from {{ ref('held_times') }}

    union all

    select
        'attended' as measure,
        lane,
        branch,
        resource,
        room,
        doctor,
        starts_us,
        length_us
    from {{ ref('held_times') }}
    where is_attended
),

-- what is booked twice takes the time of the shift once
disjoint as (
    select
        measure,
        lane,
        greatest(
            starts_us,
            coalesce(
                max(starts_us + length_us) over (
                    partition by measure, lane
                    order by starts_us asc, length_us desc
                    rows between unbounded preceding and 1 preceding
                ),
                starts_us
            )
        ) as starts_us,
        starts_us + length_us as ends_us
    from taken
    where
        lane is not null
        and length_us is not null
),

disjoint_days as (
    select
        *,
        unnest(range(starts_us // {{ days_us(1) }}, (ends_us - 1) // {{ days_us(1) }} + 1)) as day_no
    from disjoint
    where starts_us < ends_us
),

span_days as (
    select
        *,
        unnest(range(starts_us // {{ days_us(1) }}, (ends_us - 1) // {{ days_us(1) }} + 1)) as day_no
    from {{ ref('shift_spans') }}
),

-- cut at midnight UTC, because both sides are
covered as (
    select
        concat(disjoint_days.measure, '_in_shift') as measure,
        span_days.branch,
        span_days.resource,
        span_days.room,
        span_days.doctor,
        greatest(disjoint_days.starts_us, span_days.starts_us, day_no * {{ days_us(1) }}) as starts_us,
        least(disjoint_days.ends_us, span_days.ends_us, (day_no + 1) * {{ days_us(1) }}) as ends_us
    from disjoint_days
    inner join span_days using (lane, day_no)
),

intervals as (
    select
        'maximum' as measure,
        branch,
        resource,
        room,
        doctor,
        starts_us,
        ends_us,
        cast(null as bigint) as visit_us
    from {{ ref('shift_spans') }}

    union all

    select
        measure,
        branch,
        resource,
        room,
        doctor,
        starts_us,
        -- of unknown length: it has its place, and no time
        starts_us + coalesce(length_us, 0) as ends_us,
        starts_us as visit_us
    from taken

    union all

    select
        measure,
        branch,
        resource,
        room,
        doctor,
        starts_us,
        ends_us,
        cast(null as bigint) as visit_us
    from covered
    where starts_us < ends_us
),

slices as (
    select
        *,
        unnest(range(starts_us // {{ quarter }}, (greatest(ends_us, starts_us + 1) - 1) // {{ quarter }} + 1))
            as quarter_no
    from intervals
),

-- the clinic's clock once for each quarter, not for each slice: it is what takes time
bounds as (
    select
        min(starts_us) // {{ quarter }} as first_no,
        max(greatest(starts_us, ends_us)) // {{ quarter }} as last_no
    from intervals
),

quarters as (
    select
        quarter_no,
        timezone('{{ var("timezone") }}', to_timestamp(quarter_no * 900)) as local_time
    from (select unnest(range(first_no, last_no + 1)) as quarter_no from bounds) as numbered
)

select
    slices.measure,
    slices.branch,
    slices.resource,
    slices.room,
    slices.doctor,
    cast(quarters.local_time as date) as local_date,
    hour(quarters.local_time) as local_hour,
    sum(
        least(slices.ends_us, (slices.quarter_no + 1) * {{ quarter }})
        - greatest(slices.starts_us, slices.quarter_no * {{ quarter }})
    ) as held_us,
    -- a visit stands where it begins
    count(*) filter (where slices.quarter_no = slices.visit_us // {{ quarter }}) as visits
from slices
inner join quarters
    on slices.quarter_no = quarters.quarter_no
group by all
