select
    source_name,
    spend_date,
    'yandex' as source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    -- TEXT_CAMPAIGN, CPM_BANNER_CAMPAIGN …; smart campaigns are banners, not what Google calls smart
    case upper(campaign_type)
        when 'SMART_CAMPAIGN' then 'smart_banner'
        else regexp_replace(lower(campaign_type), '_campaign$', '')
    end as campaign_type,
    ad_group,
    keyword,
    case upper(device)
        when 'DESKTOP' then 'desktop'
        when 'MOBILE' then 'mobile'
        when 'TABLET' then 'tablet'
        when 'SMART_TV' then 'tv'
    end as device,
    impressions,
    clicks,
    cost as cost_native,
    currency,
    tax_basis
from {{ source('yandex_direct', 'ad_spend') }}
