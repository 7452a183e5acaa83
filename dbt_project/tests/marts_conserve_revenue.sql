-- Credit × revenue sums to the patients' revenue, to the cent: by month of first visit, in total by touch.
with patients as (
    select
        {{ month_of('first_visit_date') }} as month,
        sum(revenue_first_visit) as revenue_first_visit,
        sum(revenue_90d) as revenue_90d,
        sum(revenue_365d) as revenue_365d,
        sum(revenue_to_date) as revenue_to_date
    from {{ ref('patient_journeys') }}
    group by all
),

published as (
    select
        month,
        sum(revenue_first_visit) as revenue_first_visit,
        sum(revenue_90d) as revenue_90d,
        sum(revenue_365d) as revenue_365d,
        sum(revenue_to_date) as revenue_to_date
    from {{ ref('cost_per_patient') }}
    group by month
),

total as (
    select coalesce(sum(revenue_to_date), 0) as revenue_to_date
    from {{ ref('patient_journeys') }}
),

by_touch as (
    select
        attribution_model,
        sum(revenue_to_date) as revenue_to_date
    from {{ ref('attribution_comparison') }}
    where month_basis = 'touch'
    group by attribution_model
),

by_first_visit as (
    select
        attribution_model,
        month,
        sum(revenue_to_date) as revenue_to_date
    from {{ ref('attribution_comparison') }}
    where month_basis = 'first_visit'
    group by all
)

select
    'cost_per_patient' as mart,
    month,
    published.revenue_to_date as published,
    patients.revenue_to_date as expected
from patients
full join published using (month)
where
    coalesce(published.revenue_first_visit, 0) != coalesce(patients.revenue_first_visit, 0)
    or coalesce(published.revenue_to_date, 0) != coalesce(patients.revenue_to_date, 0)
    -- NULL while the month is not mature, which marts_n_day_figures_wait_for_the_month holds
    or published.revenue_90d != coalesce(patients.revenue_90d, 0)
    or published.revenue_365d != coalesce(patients.revenue_365d, 0)

union all

select
    concat('attribution_comparison touch ', by_touch.attribution_model) as mart,
    cast(null as date) as month,
    by_touch.revenue_to_date as published,
    total.revenue_to_date as expected
from by_touch
cross join total
where by_touch.revenue_to_date != total.revenue_to_date

union all

select
    concat('attribution_comparison first_visit ', by_first_visit.attribution_model) as mart,
    by_first_visit.month,
    by_first_visit.revenue_to_date as published,
    patients.revenue_to_date as expected
from by_first_visit
left join patients
    on by_first_visit.month = patients.month
where by_first_visit.revenue_to_date != coalesce(patients.revenue_to_date, 0)
