select
    source_name,
    spend_date,
    'sogou' as source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    'search' as campaign_type,
    ad_group,
    keyword,
    case lower(device)
        when '计算机' then 'desktop'
        when '电脑' then 'desktop'
        when 'pc' then 'desktop'
        when '移动设备' then 'mobile'
        when '移动' then 'mobile'
        when '手机' then 'mobile'
        when '平板' then 'tablet'
    end as device,
    impressions,
    clicks,
    cost as cost_native,
    currency,
    tax_basis
from {{ source('sogou_ads', 'ad_spend') }}
