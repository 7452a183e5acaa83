{%- set revenues = ['revenue_first_visit', 'revenue_90d', 'revenue_365d', 'revenue_to_date'] -%}

with patients as (
    select
        patient_id,
        {{ month_of('first_visit_date') }} as month,
        acquiring_rule,
        is_repeat,
        {{ revenues | join(', ') }}
    from {{ ref('patient_journeys') }}
),

credited as (
    select
        patients.month,
        credits.channel,
        credits.source,
        credits.campaign,
        {% for revenue in revenues -%}
        sum({{ exact_credit('credits.credit') }} * coalesce(patients.{{ revenue }}, 0)) as {{ revenue }},
        {% endfor -%}
        sum({{ exact_credit('credits.credit') }}) as new_patients,
        sum(
            case when patients.is_repeat then {{ exact_credit('credits.credit') }} else 0 end
        ) as repeat_patients
    from {{ ref('attribution_credits') }} as credits
    inner join patients
        on credits.patient_id = patients.patient_id
    where
        credits.attribution_model = '{{ var("default_model") }}'
        and credits.credit > 0
    group by all
),

conserved as (
    {{ to_the_cent(
        'credited',
        keys=['month', 'channel', 'source', 'campaign'],
        others=['new_patients', 'repeat_patients'],
        measures=revenues,
        within=['month'],
    ) }}
),

months as (
    select
        month,
        {{ ratio("count(*) filter (where acquiring_rule != 'unlinked')", 'count(*)') }} as linked_share
    from patients
    group by month
),

-- what a patient of a known channel stands for when the month's unlinked ones came as the linked ones did
scale as (
    select
        month,
        sum(new_patients) as new_patients,
        sum(case when channel = 'unlinked' then 0 else new_patients end) as linked_patients
    from conserved
    group by month
),

combined as (
    select
        month,
        channel,
        source,
        campaign,
        coalesce(costs.cost, 0) as cost,
        {% for revenue in revenues -%}
        coalesce(conserved.{{ revenue }}, 0) as {{ revenue }},
        {% endfor -%}
        coalesce(conserved.new_patients, 0) as new_patients,
        coalesce(conserved.repeat_patients, 0) as repeat_patients
    from {{ ref('monthly_costs') }} as costs
    full join conserved using (month, channel, source, campaign)
),

matured as (
    select
        combined.month,
        combined.channel,
        combined.source,
        combined.campaign,
        combined.cost,
        combined.new_patients,
        combined.repeat_patients,
        combined.revenue_first_visit,
        {% for days in [90, 365] -%}
        case
            when cast(last_day(combined.month) as date) + {{ days }} <= as_of.as_of
                then combined.revenue_{{ days }}d
        end as revenue_{{ days }}d,
        {% endfor -%}
        combined.revenue_to_date
    from combined
    cross join {{ ref('as_of') }} as as_of
)

select
    matured.month,
    matured.channel,
    matured.source,
    matured.campaign,
    coalesce(campaign_map.branch, '(shared)') as branch,
    coalesce(campaign_map.service_line, '(shared)') as service_line,
    '{{ var("default_model") }}' as attribution_model,
    cast(matured.cost as decimal(18, 2)) as cost,
    {{ credit_count('matured.new_patients') }} as new_patients,
    {{ credit_count('matured.repeat_patients') }} as repeat_patients,
    months.linked_share,
    cast(matured.revenue_first_visit as decimal(18, 2)) as revenue_first_visit,
    cast(matured.revenue_90d as decimal(18, 2)) as revenue_90d,
    cast(matured.revenue_365d as decimal(18, 2)) as revenue_365d,
    cast(matured.revenue_to_date as decimal(18, 2)) as revenue_to_date,
    {{ money_ratio('matured.cost', 'matured.new_patients') }} as cost_per_patient,
    case
        when matured.channel != 'unlinked'
            then {{ to_money(
                ratio('matured.cost', 'matured.new_patients')
                ~ ' * ' ~ ratio('nullif(scale.linked_patients, 0)', 'scale.new_patients')
            ) }}
    end as cost_per_patient_low,
    {{ ratio('matured.cost', 'matured.revenue_365d') }} as cost_to_revenue,
    {{ ratio('matured.revenue_365d', 'matured.cost') }} as roas,
    {{ ratio('matured.revenue_365d - matured.cost', 'matured.cost') }} as romi,
    {{ ratio('matured.revenue_to_date', 'matured.cost') }} as roas_to_date
from matured
left join months
    on matured.month = months.month
left join scale
    on matured.month = scale.month
left join {{ ref('campaign_map') }} as campaign_map
    on matured.campaign = campaign_map.campaign
