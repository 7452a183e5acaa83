-- Spend in equals spend out, to the cent, in every mart and month; attribution_comparison repeats it by view.
with spent as (
    select
        {{ month_of('spend_date') }} as month,
        sum(cost) as cost
    from {{ ref('daily_costs') }}
    group by all
),

published as (
    select
        'cost_per_call' as mart,
        month,
        sum(cost) as cost
    from {{ ref('cost_per_call') }}
    group by month

    union all

    select
        'cost_per_patient' as mart,
        month,
        sum(cost) as cost
    from {{ ref('cost_per_patient') }}
    group by month

    union all

    select
        'monthly_summary' as mart,
        month,
        sum(cost) as cost
    from {{ ref('monthly_summary') }}
    group by month

    union all

    select
        concat('attribution_comparison ', month_basis, ' ', attribution_model) as mart,
        month,
        sum(cost) as cost
    from {{ ref('attribution_comparison') }}
    group by all
),

marts as (
    select 'cost_per_call' as mart
    union all
    select 'cost_per_patient' as mart
    union all
    select 'monthly_summary' as mart
    {% for basis in ['first_visit', 'touch'] -%}
    {% for model in attribution_models() -%}
    union all
    select 'attribution_comparison {{ basis }} {{ model }}' as mart
    {% endfor -%}
    {% endfor -%}
),

expected as (
    select
        marts.mart,
        spent.month,
        spent.cost
    from marts
    cross join spent
)

select
    mart,
    month,
    coalesce(expected.cost, 0) as spent,
    coalesce(published.cost, 0) as published
from expected
full join published using (mart, month)
where coalesce(expected.cost, 0) != coalesce(published.cost, 0)
