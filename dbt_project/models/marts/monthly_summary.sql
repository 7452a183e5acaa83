with costs as (
    select
        month,
        sum(cost) as cost
    from {{ ref('monthly_costs') }}
    group by month
),

calls as (
    select
        {{ month_of('local_date') }} as month,
        count(*) as calls
    from {{ ref('calls') }}
    where
        direction = 'inbound'
        and not coalesce(is_internal, false)
    group by all
),

contacts as (
    select
        {{ month_of('local_date') }} as month,
        count(*) as contacts
    from {{ ref('contacts') }}
    group by all
),

bookings as (
    select
        {{ month_of(clinic_date('coalesce(booked_at, scheduled_at)')) }} as month,
        count(*) as bookings
    from {{ ref('appointments') }}
    where
        coalesce(booked_at, scheduled_at) is not null
        and coalesce(status, 'unknown') != 'entered_in_error'
    group by all
),

arrivals as (
    select
        {{ month_of('local_date') }} as month,
        count(*) as arrivals
    from {{ ref('visits') }}
    where is_completed
    group by all
),

new_patients as (
    select
        {{ month_of('first_visit_date') }} as month,
        count(*) as new_patients
    from {{ ref('patient_journeys') }}
    group by all
),

revenue as (
    select
        {{ month_of('local_date') }} as month,
        sum(amount) as revenue
    from {{ ref('payments') }}
    where is_real_money
    group by all
),

combined as (
    select
        month,
        coalesce(costs.cost, 0) as cost,
        coalesce(calls.calls, 0) as calls,
        coalesce(contacts.contacts, 0) as contacts,
        coalesce(bookings.bookings, 0) as bookings,
        coalesce(arrivals.arrivals, 0) as arrivals,
        coalesce(new_patients.new_patients, 0) as new_patients,
        coalesce(revenue.revenue, 0) as revenue
    from costs
    full join calls using (month)
    full join contacts using (month)
    full join bookings using (month)
    full join arrivals using (month)
    full join new_patients using (month)
    full join revenue using (month)
)

select
    month,
    cast(cost as decimal(18, 2)) as cost,
    calls,
    contacts,
    bookings,
    arrivals,
    new_patients,
    cast(revenue as decimal(18, 2)) as revenue,
    {{ money_ratio('cost', 'calls') }} as cost_per_call,
    {{ money_ratio('cost', 'new_patients') }} as cost_per_patient
from combined
