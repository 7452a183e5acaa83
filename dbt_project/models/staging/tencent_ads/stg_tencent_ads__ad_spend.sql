select
    source_name,
    spend_date,
    'tencent_ads' as source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    cast(null as varchar) as campaign_type,
    ad_group,
    keyword,
    cast(null as varchar) as device,
    impressions,
    clicks,
    cost as cost_native,
    currency,
    tax_basis
from {{ source('tencent_ads', 'ad_spend') }}
