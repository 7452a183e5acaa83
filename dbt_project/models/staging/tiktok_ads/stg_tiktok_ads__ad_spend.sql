select
    source_name,
    spend_date,
    'tiktok' as source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    'social' as campaign_type,
    ad_group,
    cast(null as varchar) as keyword,
    cast(null as varchar) as device,
    -- lines of hours and ads
    cast(sum(impressions) as bigint) as impressions,
    cast(sum(clicks) as bigint) as clicks,
    cast(sum(cost) as decimal(18, 6)) as cost_native,
    currency,
    tax_basis
from {{ source('tiktok_ads', 'ad_spend') }}
group by all
