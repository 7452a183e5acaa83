select
    source_name,
    spend_date,
    -- what sessions of either network are tagged with
    'facebook' as source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    -- whatever its objective: a campaign for video views is social as well
    'social' as campaign_type,
    ad_group,
    cast(null as varchar) as keyword,
    cast(null as varchar) as device,
    impressions,
    -- clicks of any kind are several times those that lead to the site
    coalesce(link_clicks, clicks) as clicks,
    cost as cost_native,
    currency,
    tax_basis
from {{ source('meta_ads', 'ad_spend') }}
