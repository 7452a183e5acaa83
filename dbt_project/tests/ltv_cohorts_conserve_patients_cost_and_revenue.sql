-- Patients and cost by month 1, revenue by months 1, 3 and 6, at each of the four levels of rolling up.
with cohorts as (
    select
        concat(
            case when channel = '(all)' then 'all channels' else 'by channel' end,
            case when first_doctor = '(all)' then ', all doctors' else ', by doctor' end
        ) as level,
        *
    from {{ ref('ltv_cohorts') }}
),

levels as (
    select distinct level
    from cohorts
),

patients as (
    select
        {{ month_of('first_visit_date') }} as month,
        count(*) as new_patients,
        sum(revenue_30d) as revenue_30d,
        sum(revenue_90d) as revenue_90d,
        sum(revenue_180d) as revenue_180d
    from {{ ref('patient_journeys') }}
    group by all
),

costs as (
    select
        {{ month_of('spend_date') }} as month,
        sum(cost) as cost
    from {{ ref('daily_costs') }}
    group by all
),

expected as (
    select
        levels.level,
        month,
        coalesce(patients.new_patients, 0) as new_patients,
        coalesce(costs.cost, 0) as cost,
        patients.revenue_30d,
        patients.revenue_90d,
        patients.revenue_180d
    from patients
    full join costs using (month)
    cross join levels
),

published as (
    select
        level,
        cohort_month as month,
        sum(case when month_since = 1 then new_patients end) as new_patients,
        sum(case when month_since = 1 then cost end) as cost,
        sum(case when month_since = 1 then cumulative_revenue end) as revenue_30d,
        sum(case when month_since = 3 then cumulative_revenue end) as revenue_90d,
        sum(case when month_since = 6 then cumulative_revenue end) as revenue_180d
    from cohorts
    group by all
)

select
    level,
    month,
    expected.new_patients as expected_patients,
    published.new_patients,
    expected.cost as expected_cost,
    published.cost
from expected
full join published using (level, month)
where
    published.month is null
    or expected.month is null
    or abs(expected.new_patients - published.new_patients) > 1e-6
    or expected.cost != published.cost
    -- NULL while the month is not mature, which ltv_cohorts_end_where_not_all_have_been holds
    or coalesce(expected.revenue_30d, 0) != published.revenue_30d
    or coalesce(expected.revenue_90d, 0) != published.revenue_90d
    or coalesce(expected.revenue_180d, 0) != published.revenue_180d
