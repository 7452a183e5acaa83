with hours as (
    select
        measure,
        coalesce(branch, '(unknown)') as branch,
        resource,
        coalesce(room, '(unknown)') as room,
        coalesce(doctor, '(unknown)') as doctor,
        cast(date_trunc('week', local_date) as date) as week,
        isodow(local_date) as weekday,
        local_hour as hour,
        held_us,
        visits
    from {{ ref('capacity_hours') }}
),

cells as (
    select
        branch,
        resource,
        room,
        doctor,
        week,
        weekday,
        hour,
        sum(held_us) filter (where measure = 'maximum') as maximum_us,
        coalesce(sum(held_us) filter (where measure = 'booked'), 0) as booked_us,
        coalesce(sum(held_us) filter (where measure = 'attended'), 0) as attended_us,
        coalesce(sum(held_us) filter (where measure = 'booked_in_shift'), 0) as booked_in_shift_us,
        coalesce(sum(held_us) filter (where measure = 'attended_in_shift'), 0) as attended_in_shift_us,
        coalesce(sum(visits) filter (where measure = 'booked'), 0) as booked_visits,
        coalesce(sum(visits) filter (where measure = 'attended'), 0) as attended_visits
    from hours
    group by all
),

known_weeks as (
    select distinct
        doctor,
        week
    from hours
    where
        measure = 'maximum'
        and doctor != '(unknown)'
),

-- visits that took place: their length and money, by doctor and resource, and by resource; fewer than five of
-- them make no mean
visits as (
    select
        resource,
        coalesce(doctor, '(unknown)') as doctor,
        count(*) as visits,
        sum(length_us) as length_us,
        sum(revenue) as revenue
    from {{ ref('held_times') }}
    where is_visit
    group by all
),

resource_visits as (
    select
        resource,
        sum(visits) as visits,
        sum(length_us) as length_us,
        sum(revenue) as revenue
    from visits
    group by resource
),

-- where no appointment has a length, nobody can say what is free
lengths as (
    select count(length_us) > 0 as are_known
    from {{ ref('held_times') }}
),

measured as (
    select
        cells.*,
        -- hours outside every shift are no capacity where the doctor's shifts of the week are known
        coalesce(
            cells.maximum_us,
            case when cells.resource != '(no shift)' or known_weeks.doctor is not null then 0 end
        ) as capacity_us,
        lengths.are_known as lengths_are_known,
        coalesce(visits.visits, resource_visits.visits) as mean_visits,
        coalesce(visits.length_us, resource_visits.length_us) as mean_length_us,
        coalesce(visits.revenue, resource_visits.revenue) as mean_revenue
    from cells
    left join known_weeks
        on
            cells.doctor = known_weeks.doctor
            and cells.week = known_weeks.week
    left join visits
        on
            cells.doctor = visits.doctor
            and cells.resource = visits.resource
            and visits.visits >= 5
    left join resource_visits
        on
            cells.resource = resource_visits.resource
            and resource_visits.visits >= 5
    cross join lengths
),

free as (
    select
        *,
        case when lengths_are_known then capacity_us - booked_in_shift_us end as free_us
    from measured
)

select
    branch,
    resource,
    room,
    doctor,
    week,
    weekday,
    hour,
    {{ ratio('capacity_us', seconds_us(60)) }} as maximum_minutes,
    case when lengths_are_known then {{ ratio('booked_us', seconds_us(60)) }} end as booked_minutes,
    case when lengths_are_known then {{ ratio('attended_us', seconds_us(60)) }} end as attended_minutes,
    {{ ratio('capacity_us - free_us', seconds_us(60)) }} as booked_in_shift_minutes,
    {{ ratio('case when free_us is not null then attended_in_shift_us end', seconds_us(60)) }}
        as attended_in_shift_minutes,
    {{ ratio('free_us', seconds_us(60)) }} as free_minutes,
    {{ ratio('capacity_us * mean_visits', 'mean_length_us') }} as maximum_visits,
    cast(booked_visits as bigint) as booked_visits,
    cast(attended_visits as bigint) as attended_visits,
    {{ ratio('free_us * mean_visits', 'mean_length_us') }} as free_visits,
    {{ ratio('capacity_us - free_us', 'capacity_us') }} as utilisation,
    {{ ratio('case when free_us is not null then attended_in_shift_us end', 'capacity_us') }}
        as attended_utilisation,
    {{ ratio('mean_length_us', 'mean_visits * ' ~ seconds_us(60)) }} as minutes_per_visit,
    {{ money_ratio('mean_revenue', 'mean_visits') }} as revenue_per_visit,
    {{ to_money(ratio('cast(free_us as double) * mean_revenue', 'mean_length_us')) }} as free_value
from free
