select
    source_name,
    spend_date,
    'google' as source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    -- `Performance Max` in the interface, PERFORMANCE_MAX in the API
    replace(lower(campaign_type), ' ', '_') as campaign_type,
    ad_group,
    keyword,
    case lower(device)
        when 'computers' then 'desktop'
        when 'desktop' then 'desktop'
        when 'mobile phones' then 'mobile'
        when 'mobile' then 'mobile'
        when 'tablets' then 'tablet'
        when 'tablet' then 'tablet'
        when 'tv screens' then 'tv'
        when 'connected_tv' then 'tv'
    end as device,
    impressions,
    clicks,
    cost as cost_native,
    currency,
    -- tax is added on the invoice
    'excl' as tax_basis
from {{ source('google_ads', 'ad_spend') }}
