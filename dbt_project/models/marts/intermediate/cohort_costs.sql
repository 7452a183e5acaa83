{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Cohorts of one month, channel and first doctor, and what they cost: the channel's cost of the month, shared
-- by new patients. Cost of a month in which the channel brought nobody stands with first doctor (none).
with cohorts as (
    select
        cohort_month,
        channel,
        first_doctor,
        sum(credit) as new_patients
    from {{ ref('cohort_members') }}
    group by all
),

costs as (
    select
        month as cohort_month,
        channel,
        cast(sum(cost) as decimal(18, 2)) as cost
    from {{ ref('monthly_costs') }}
    group by all
),

combined as (
    select
        cohort_month,
        channel,
        coalesce(cohorts.first_doctor, '(none)') as first_doctor,
        coalesce(cohorts.new_patients, 0) as new_patients,
        coalesce(costs.cost, 0) as cost
    from cohorts
    full join costs using (cohort_month, channel)
)

{{ divide_by_weight(
    'combined',
    columns=['cohort_month', 'channel', 'first_doctor', 'new_patients'],
    amount='cost',
    weight='new_patients * 1000000000000',
    within=['cohort_month', 'channel'],
    ties=['first_doctor'],
    share='cost',
) }}
