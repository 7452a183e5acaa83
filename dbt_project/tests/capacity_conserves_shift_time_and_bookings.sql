-- Capacity has every microsecond of counted shift time, every booking once, and every minute that was booked.
with shift_time as (
    select coalesce(sum(ends_us - starts_us), 0) as maximum_us
    from {{ ref('shift_spans') }}
),

bookings as (
    select
        count(*) as booked_visits,
        count(*) filter (where is_attended) as attended_visits,
        coalesce(sum(length_us), 0) as booked_us
    from {{ ref('held_times') }}
),

expected as (
    select
        shift_time.maximum_us,
        bookings.booked_visits,
        bookings.attended_visits,
        bookings.booked_us
    from shift_time
    cross join bookings
),

published as (
    select
        coalesce(sum(maximum_minutes), 0) * {{ seconds_us(60) }} as maximum_us,
        coalesce(sum(booked_visits), 0) as booked_visits,
        coalesce(sum(attended_visits), 0) as attended_visits,
        coalesce(sum(booked_minutes), 0) * {{ seconds_us(60) }} as booked_us
    from {{ ref('capacity_utilisation') }}
)

select
    expected.maximum_us,
    published.maximum_us as published_maximum_us,
    expected.booked_visits,
    published.booked_visits as published_booked_visits,
    expected.attended_visits,
    published.attended_visits as published_attended_visits,
    expected.booked_us,
    published.booked_us as published_booked_us
from expected
cross join published
where
    -- minutes are doubles: a second of all the time there is
    abs(expected.maximum_us - published.maximum_us) > {{ seconds_us(1) }}
    or expected.booked_visits != published.booked_visits
    or expected.attended_visits != published.attended_visits
    or abs(expected.booked_us - published.booked_us) > {{ seconds_us(1) }}
