with named as (
    select
        source_name,
        site_id || '.' || visit_id as session_id,
        'mt:' || visitor_id as visitor_id,
        user_ref,
        started_at,
        landing_path,
        landing_host,
        -- moving about on the site is no referral
        case
            when
                regexp_replace(referrer_host, '^www\.', '')
                <> coalesce(regexp_replace(landing_host, '^www\.', ''), '')
                then referrer_host
        end as referrer_host,
        lower(referrer_type) as referrer_type,
        referrer_name,
        referrer_keyword,
        lower(campaign_source) as campaign_source,
        lower(campaign_medium) as campaign_medium,
        campaign_name,
        campaign_id,
        campaign_content,
        campaign_keyword,
        page_source,
        page_medium,
        page_campaign,
        page_campaign_id,
        page_content,
        page_term,
        page_click_id_type as click_id_type,
        page_click_id as click_id,
        case
            when page_click_id_type in ('gclid', 'gbraid', 'wbraid') then 'google'
            when page_click_id_type = 'yclid' then 'yandex'
            when page_click_id_type = 'msclkid' then 'bing'
            when page_click_id_type = 'ttclid' then 'tiktok'
            when page_click_id_type = 'bd_vid' then 'baidu'
        end as click_source,
        case
            when page_click_id_type = 'ttclid' then 'paid'
            -- Meta adds fbclid to every outbound link
            when page_click_id_type <> 'fbclid' then 'cpc'
        end as click_medium,
        case lower(device_type)
            when 'desktop' then 'desktop'
            when 'smartphone' then 'mobile'
            when 'phablet' then 'mobile'
            when 'feature phone' then 'mobile'
            when 'tablet' then 'tablet'
            when 'tv' then 'tv'
        end as device,
        case when lower(city) <> 'unknown' then city end as city,
        case when lower(region) <> 'unknown' then region end as region,
        case lower(visitor_type)
            when 'new' then true
            when 'returning' then false
            when 'returningcustomer' then false
        end as is_new_visitor,
        coalesce(pageviews, actions) as pageviews,
        duration_s,
        coalesce(interactions, actions) <= 1 as is_bounce
    from {{ source('matomo', 'visits') }}
),

levelled as (
    select
        *,
        -- the first level that tells an origin decides, and is kept
        case
            when coalesce(campaign_source, campaign_medium, campaign_name) is not null then 'campaign_plugin'
            when coalesce(page_source, page_campaign, click_source) is not null then 'landing_page'
            when referrer_type in ('campaign', 'search', 'social', 'website', 'direct') then referrer_type
            when referrer_host is not null then 'website'
            else 'unknown'
        end as origin_level,
        -- Google, Google Images, Yahoo!
        nullif(regexp_extract(lower(referrer_name), '^([a-z0-9.-]+)', 1), '') as referrer_word,
        nullif(
            regexp_extract(
                referrer_host,
                '^(?:www\.|m\.|search\.)?(google|yandex|bing|yahoo|baidu|duckduckgo)'
                || '\.[a-z]{2,3}(?:\.[a-z]{2})?$',
                1
            ),
            ''
        ) as search_engine
    from named
)

select
    source_name,
    session_id,
    visitor_id,
    user_ref,
    started_at,
    landing_path,
    landing_host,
    referrer_host,
    origin_level,
    case
        when origin_level in ('campaign_plugin', 'landing_page', 'campaign')
            then coalesce(
                campaign_source, page_source, click_source, search_engine, referrer_host, '(not set)'
            )
        when origin_level = 'search' then coalesce(referrer_word, search_engine, '(not set)')
        when origin_level = 'social' then coalesce(lower(referrer_name), referrer_host, '(not set)')
        when origin_level = 'website' then coalesce(referrer_host, lower(referrer_name), '(not set)')
        when origin_level = 'direct' then '(direct)'
        else coalesce(lower(referrer_name), '(not set)')
    end as source,
    case
        when origin_level in ('campaign_plugin', 'landing_page', 'campaign')
            then coalesce(
                campaign_medium,
                page_medium,
                click_medium,
                -- no "(not set)": from a search engine that would pass for organic
                case when referrer_type = 'campaign' then 'campaign' end,
                '(not set)'
            )
        when origin_level = 'search' then 'organic'
        when origin_level = 'social' then 'social'
        when origin_level = 'website' then 'referral'
        when origin_level = 'direct' then '(none)'
        else '(not set)'
    end as medium,
    coalesce(
        campaign_name, page_campaign, case when referrer_type = 'campaign' then referrer_name end
    ) as campaign,
    coalesce(campaign_id, page_campaign_id) as campaign_id,
    coalesce(campaign_content, page_content) as content,
    coalesce(campaign_keyword, page_term, referrer_keyword) as term,
    click_id_type,
    click_id,
    device,
    city,
    region,
    is_new_visitor,
    pageviews,
    duration_s,
    is_bounce
from levelled
