-- A figure of month N is there exactly when the last day of the cohort's month + 30 × N days has come.
with last_months as (
    select
        cohort_month,
        channel,
        first_doctor,
        max(case when cumulative_revenue is not null then month_since else 0 end) as last_month,
        count(*) as months
    from {{ ref('ltv_cohorts') }}
    group by all
)

select
    last_months.cohort_month,
    last_months.channel,
    last_months.first_doctor,
    last_months.last_month,
    last_months.months,
    as_of.as_of
from last_months
cross join {{ ref('as_of') }} as as_of
where
    last_months.months != greatest(last_months.last_month, 1)
    or (
        last_months.last_month > 0
        and 30 * last_months.last_month > as_of.as_of - cast(last_day(last_months.cohort_month) as date)
    )
    or 30 * (last_months.last_month + 1) <= as_of.as_of - cast(last_day(last_months.cohort_month) as date)
