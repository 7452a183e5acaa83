select
    source_name,
    spend_date,
    'so.com' as source,
    -- each product has its own level of record
    case when product = 'search' then account else account || ' (' || product || ')' end as account,
    report_level,
    campaign_id,
    campaign_name,
    case product
        when 'search' then 'search'
        when 'display' then 'display'
        when 'feed' then 'display'
    end as campaign_type,
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
from {{ source('qihoo360_ads', 'ad_spend') }}
