{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- What a cohort paid, and how many of it came again, in each month of 30 × 24 hours since the first visit.
-- Advances are of the first one.
with paid as (
    select
        members.cohort_month,
        members.channel,
        members.first_doctor,
        greatest(
            cast(
                floor(
                    cast({{ elapsed_us('members.first_visit_at', 'payments.paid_at') }} as double)
                    / {{ days_us(30) }}
                ) as bigint
            ),
            0
        ) + 1 as month_since,
        sum(members.credit * payments.amount) as revenue
    from {{ ref('cohort_members') }} as members
    inner join {{ ref('payments') }} as payments
        on members.patient_id = payments.patient_id
    where payments.is_real_money
    group by all
),

-- one row per patient and month; a visit on the day of the first one is no coming back
came as (
    select
        members.patient_id,
        members.cohort_month,
        members.channel,
        members.first_doctor,
        members.credit,
        cast(
            floor(
                cast({{ elapsed_us('members.first_visit_at', 'visits.visited_at') }} as double)
                / {{ days_us(30) }}
            ) as bigint
        ) + 1 as month_since
    from {{ ref('cohort_members') }} as members
    inner join {{ ref('visits') }} as visits
        on members.patient_id = visits.patient_id
    where
        visits.is_completed
        and visits.local_date > members.first_visit_date
    group by all
),

marked as (
    select
        *,
        month_since = min(month_since) over (partition by patient_id) as is_first_return
    from came
),

returned as (
    select
        cohort_month,
        channel,
        first_doctor,
        month_since,
        sum(credit) as returning_patients,
        sum(case when is_first_return then credit else 0 end) as first_returns
    from marked
    group by all
)

select
    cohort_month,
    channel,
    first_doctor,
    month_since,
    coalesce(paid.revenue, 0) as revenue,
    coalesce(returned.returning_patients, 0) as returning_patients,
    coalesce(returned.first_returns, 0) as first_returns
from paid
full join returned using (cohort_month, channel, first_doctor, month_since)
