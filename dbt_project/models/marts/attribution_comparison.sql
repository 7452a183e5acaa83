with views as (
    {% for basis in ['first_visit', 'touch'] -%}
    {% set last_basis = loop.last -%}
    {% for model in attribution_models() -%}
    select
        '{{ basis }}' as month_basis,
        '{{ model }}' as attribution_model
    {{ "union all" if not (last_basis and loop.last) }}
    {% endfor -%}
    {% endfor -%}
),

costs_of_views as (
    select
        costs.month,
        views.month_basis,
        views.attribution_model,
        costs.channel,
        costs.source,
        costs.campaign,
        costs.cost
    from {{ ref('monthly_costs') }} as costs
    cross join views
),

credits as (
    select
        credits.attribution_model,
        {{ month_of('journeys.first_visit_date') }} as first_visit_month,
        coalesce(
            {{ month_of(clinic_date('credits.touched_at')) }},
            {{ month_of('journeys.first_visit_date') }}
        ) as touch_month,
        credits.channel,
        credits.source,
        credits.campaign,
        {{ exact_credit('credits.credit') }} as credit,
        journeys.revenue_to_date
    from {{ ref('attribution_credits') }} as credits
    inner join {{ ref('patient_journeys') }} as journeys
        on credits.patient_id = journeys.patient_id
    where credits.credit > 0
),

credited as (
    select
        first_visit_month as month,
        'first_visit' as month_basis,
        attribution_model,
        channel,
        source,
        campaign,
        -- whole patients stand in a month of first visits, so that its money is whole too
        first_visit_month as whole_month,
        sum(credit) as new_patients,
        sum(credit * revenue_to_date) as revenue_to_date
    from credits
    group by all

    union all

    select
        touch_month as month,
        'touch' as month_basis,
        attribution_model,
        channel,
        source,
        campaign,
        cast(null as date) as whole_month,
        sum(credit) as new_patients,
        sum(credit * revenue_to_date) as revenue_to_date
    from credits
    group by all
),

conserved as (
    {{ to_the_cent(
        'credited',
        keys=['month', 'month_basis', 'attribution_model', 'channel', 'source', 'campaign'],
        others=['whole_month', 'new_patients'],
        measures=['revenue_to_date'],
        within=['month_basis', 'attribution_model', 'whole_month'],
    ) }}
),

combined as (
    select
        month,
        month_basis,
        attribution_model,
        channel,
        source,
        campaign,
        coalesce(costs_of_views.cost, 0) as cost,
        coalesce(conserved.new_patients, 0) as new_patients,
        coalesce(conserved.revenue_to_date, 0) as revenue_to_date
    from costs_of_views
    full join conserved using (month, month_basis, attribution_model, channel, source, campaign)
)

select
    month,
    month_basis,
    attribution_model,
    channel,
    source,
    campaign,
    cast(cost as decimal(18, 2)) as cost,
    {{ credit_count('new_patients') }} as new_patients,
    cast(revenue_to_date as decimal(18, 2)) as revenue_to_date,
    {{ money_ratio('cost', 'new_patients') }} as cost_per_patient
from combined
