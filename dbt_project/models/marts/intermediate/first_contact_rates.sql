{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- What became of first contacts that somebody took, by channel over the months to each month; where a channel
-- has too few of them, of all channels. Months whose people may still come have none.
with first_contacts as (
    select
        enquiries.month,
        {{ month_number('enquiries.month') }} as month_no,
        enquiries.channel,
        case when not enquiries.is_missed then 1 else 0 end as taken,
        case when not enquiries.is_missed and enquiries.is_booked then 1 else 0 end as booked,
        case when not enquiries.is_missed then enquiries.bookings_due else 0 end as bookings_due,
        case when not enquiries.is_missed then enquiries.arrivals else 0 end as arrivals
    from {{ ref('enquiries') }} as enquiries
    cross join {{ ref('as_of') }} as as_of
    where
        enquiries.is_first
        and enquiries.standing = 'eligible'
        and {{ is_month_over('enquiries.month', 'as_of.as_of') }}
),

counts as (
    select
        month,
        month_no,
        channel,
        sum(taken) as taken,
        sum(booked) as booked,
        sum(bookings_due) as bookings_due,
        sum(arrivals) as arrivals
    from first_contacts
    group by all
),

months as (
    select distinct
        month,
        month_no
    from counts
),

summed as (
    select
        months.month,
        counts.channel,
        sum(counts.taken) as taken,
        sum(counts.booked) as booked,
        sum(counts.bookings_due) as bookings_due,
        sum(counts.arrivals) as arrivals
    from months
    inner join counts
        on counts.month_no between months.month_no - {{ months_of_rates() }} + 1 and months.month_no
    group by all
),

with_all as (
    select
        *,
        sum(taken) over (partition by month) as all_taken,
        sum(booked) over (partition by month) as all_booked,
        sum(bookings_due) over (partition by month) as all_bookings_due,
        sum(arrivals) over (partition by month) as all_arrivals
    from summed
)

select
    month,
    channel,
    case
        when taken >= {{ fewest_contacts() }} then {{ ratio('booked', 'taken') }}
        else {{ ratio('all_booked', 'all_taken') }}
    end as booking_rate,
    case
        when bookings_due >= {{ fewest_contacts() }} then {{ ratio('arrivals', 'bookings_due') }}
        else {{ ratio('all_arrivals', 'all_bookings_due') }}
    end as show_rate
from with_all
