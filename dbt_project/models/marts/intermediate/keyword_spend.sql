{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Reports by keyword, of record or not: they say what part of a campaign's spend its keywords had.
select
    {{ month_of('spend.spend_date') }} as month,
    spend.source,
    coalesce(spend.campaign, '(none)') as campaign,
    coalesce(nullif(trim(spend.ad_group), ''), '(none)') as ad_group,
    coalesce(texts.keyword, '(none)') as keyword,
    coalesce(sum(spend.impressions), 0) as impressions,
    coalesce(sum(spend.clicks), 0) as clicks,
    coalesce(sum(spend.cost), 0) as cost
from {{ ref('ad_spend') }} as spend
left join {{ ref('keyword_texts') }} as texts
    on spend.keyword = texts.text
where spend.report_level = 'keyword'
group by all
