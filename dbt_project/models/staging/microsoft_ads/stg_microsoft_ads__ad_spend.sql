with spend as (
    select
        source_name,
        spend_date,
        account,
        report_level,
        campaign_id,
        campaign_name,
        -- `Search & content` and `DynamicSearchAds` in the API, words with spaces in the interface
        case lower(replace(campaign_type, ' ', ''))
            when 'search&content' then 'search'
            when 'searchandcontent' then 'search'
            when 'dynamicsearchads' then 'search'
            when 'performancemax' then 'performance_max'
            when 'audience' then 'display'
            else replace(lower(campaign_type), ' ', '_')
        end as campaign_type,
        ad_group,
        keyword,
        case lower(device)
            when 'computer' then 'desktop'
            when 'desktop' then 'desktop'
            when 'smartphone' then 'mobile'
            when 'mobile' then 'mobile'
            when 'tablet' then 'tablet'
        end as device,
        impressions,
        clicks,
        cost,
        currency,
        tax_basis
    from {{ source('microsoft_ads', 'ad_spend') }}
)

select
    source_name,
    spend_date,
    'bing' as source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    campaign_type,
    ad_group,
    keyword,
    device,
    -- lines of hours, networks and match types
    cast(sum(impressions) as bigint) as impressions,
    cast(sum(clicks) as bigint) as clicks,
    cast(sum(cost) as decimal(18, 6)) as cost_native,
    currency,
    tax_basis
from spend
group by all
