{{ config(materialized='table') }}

{%- set parts = session_parts() %}

with folded as (
    select
        source_name,
        session_id,
        visitor_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        min(session_number) as session_number,
        count(*) filter (where event_name in ('page_view', 'screen_view')) as pageviews,
        bool_or(is_engaged) as is_engaged,
        {% for name, part in parts.items() -%}
        {{ first_event(**part) }} as {{ name }},
        {% endfor -%}
        coalesce(
            bool_or('(direct)' in (manual_source, cross_source, collected_source, param_source)), false
        ) as is_declared_direct
    from {{ ref('stg_ga4__events') }}
    group by source_name, session_id, visitor_id
),

unpacked as (
    select
        source_name,
        session_id,
        visitor_id,
        started_at,
        ended_at,
        session_number,
        pageviews,
        is_engaged,
        {% for name, part in parts.items() -%}
        {% for column in part['columns'] -%}
        struct_extract({{ name }}, '{{ column }}') as {{ column }},
        {% endfor -%}
        {% endfor -%}
        is_declared_direct
    from folded
),

-- the first level that tells an origin decides, and is kept
levelled as (
    select
        *,
        case
            when coalesce(ads_campaign_id, ads_campaign) is not null then 'google_ads_campaign'
            when manual_source is not null then 'manual_campaign'
            when cross_source is not null then 'cross_channel_campaign'
            when coalesce(collected_source, collected_gclid) is not null then 'collected_traffic_source'
            when param_source is not null then 'event_params'
            when coalesce(page_source, page_click_id) is not null then 'landing_page'
            -- GA4 calls a session direct whose referrer it was told to ignore, a bank's pay page for one
            when referrer_host is not null and not is_declared_direct then 'referrer'
            else 'direct'
        end as origin_level,
        case
            when page_click_id_type in ('gclid', 'gbraid', 'wbraid') then 'google'
            when page_click_id_type = 'yclid' then 'yandex'
            when page_click_id_type = 'msclkid' then 'bing'
            when page_click_id_type = 'ttclid' then 'tiktok'
            when page_click_id_type = 'bd_vid' then 'baidu'
            when page_click_id_type = 'fbclid' then 'facebook'
        end as click_source,
        case
            when page_click_id_type = 'ttclid' then 'paid'
            -- Meta adds it to every outbound link
            when page_click_id_type = 'fbclid' then 'referral'
            when page_click_id_type is not null then 'cpc'
        end as click_medium,
        case
            when regexp_matches(referrer_host, '^(www\.)?ya\.ru$') then 'yandex'
            else nullif(
                regexp_extract(
                    referrer_host,
                    '^(?:www\.|m\.|search\.)?(google|yandex|bing|yahoo|baidu|duckduckgo)'
                    || '\.[a-z]{2,3}(?:\.[a-z]{2})?$',
                    1
                ),
                ''
            )
        end as search_engine
    from unpacked
),

named as (
    select
        *,
        case origin_level
            when 'google_ads_campaign' then 'google'
            when 'manual_campaign' then manual_source
            when 'cross_channel_campaign' then cross_source
            when 'collected_traffic_source' then coalesce(collected_source, 'google')
            when 'event_params' then param_source
            when 'landing_page' then coalesce(page_source, click_source)
            when 'referrer' then coalesce(search_engine, referrer_host)
            else '(direct)'
        end as source,
        case origin_level
            when 'google_ads_campaign' then 'cpc'
            when 'manual_campaign' then manual_medium
            when 'cross_channel_campaign' then cross_medium
            when 'collected_traffic_source'
                then coalesce(collected_medium, case when collected_gclid is not null then 'cpc' end)
            when 'event_params' then param_medium
            when 'landing_page' then coalesce(page_medium, click_medium)
            when 'referrer' then case when search_engine is null then 'referral' else 'organic' end
            else '(none)'
        end as medium,
        case origin_level
            when 'google_ads_campaign' then ads_campaign
            when 'manual_campaign' then manual_campaign
            when 'cross_channel_campaign' then cross_campaign
            when 'collected_traffic_source' then collected_campaign
            when 'event_params' then param_campaign
            when 'landing_page' then page_campaign
        end as campaign,
        coalesce(
            case origin_level
                when 'google_ads_campaign' then ads_campaign_id
                when 'manual_campaign' then manual_campaign_id
                when 'cross_channel_campaign' then cross_campaign_id
                when 'collected_traffic_source' then collected_campaign_id
            end,
            page_campaign_id
        ) as campaign_id,
        coalesce(
            case
                when origin_level in ('google_ads_campaign', 'manual_campaign') then manual_content
                when origin_level = 'collected_traffic_source' then collected_content
                when origin_level = 'event_params' then param_content
            end,
            page_content
        ) as content,
        coalesce(
            case
                when origin_level in ('google_ads_campaign', 'manual_campaign') then manual_term
                when origin_level = 'collected_traffic_source' then collected_term
                when origin_level = 'event_params' then param_term
            end,
            page_term
        ) as term
    from levelled
),

clicked as (
    select
        *,
        -- a click id of a later page must not claim a session that came from elsewhere
        case
            when page_click_id is not null then page_click_id_type
            when source = 'google' and collected_gclid is not null then 'gclid'
        end as click_id_type,
        case
            when page_click_id is not null then page_click_id
            when source = 'google' then collected_gclid
        end as click_id
    from named
)

select
    source_name,
    session_id,
    visitor_id,
    user_ref,
    started_at,
    page_path as landing_path,
    page_host as landing_host,
    referrer_host,
    origin_level,
    source,
    -- the export calls ad clicks google / organic although the page was reached with a gclid
    case
        when source = 'google' and medium = 'organic' and click_id_type in ('gclid', 'gbraid', 'wbraid')
            then 'cpc'
        else medium
    end as medium,
    campaign,
    nullif(campaign_id, '(not set)') as campaign_id,
    content,
    term,
    click_id_type,
    click_id,
    device,
    city,
    region,
    session_number = 1 as is_new_visitor,
    pageviews,
    cast(floor((epoch_us(ended_at) - epoch_us(started_at)) / 1000000) as bigint) as duration_s,
    not is_engaged as is_bounce
from clicked
