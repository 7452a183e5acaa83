{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

select
    {{ month_of('spend_date') }} as month,
    coalesce(channel, 'unassigned') as channel,
    coalesce(source, '(none)') as source,
    coalesce(campaign, '(none)') as campaign,
    coalesce(sum(cost), 0) as cost,
    coalesce(sum(impressions), 0) as impressions,
    coalesce(sum(clicks), 0) as clicks
from {{ ref('daily_costs') }}
group by all
