-- Metrica's codes as other sources name the same sites; a code that is not listed stands for itself.
with named as (
    select
        *,
        case
            when direct_campaign_id is not null then 'yandex'
            when adv_engine = 'yandexrtb' then 'rsya'
            when adv_engine = 'display' then 'yan'
            when adv_engine like 'ya\_%' escape '\' or adv_engine like 'yandex%' then 'yandex'
            when adv_engine in ('google_adwords', 'google_merchant') then 'google'
            when adv_engine = 'bingads' then 'bing'
            when adv_engine = 'target_mail_ru' then 'mytarget'
            else adv_engine
        end as ad_platform,
        case search_engine
            when 'mail_ru' then 'mail.ru'
            when 'so360' then '360'
            when 'ask_com' then 'ask'
            when 'livesearch' then 'bing'
            when 'msn' then 'bing'
            else search_engine
        end as search_site,
        case recommendation_system
            when 'zen_yandex' then 'dzen'
            else recommendation_system
        end as recommending_site,
        case
            -- a display network's banner was not found by searching
            when adv_engine in ('display', 'yandexrtb') then 'cpm'
            else 'cpc'
        end as ad_medium
    from {{ source('yandex_metrica', 'visits') }}
),

placed as (
    select
        *,
        coalesce(
            utm_source,
            case traffic_source
                when 'ad' then coalesce(ad_platform, referral_source)
                when 'organic' then search_site
                when 'referral' then referral_source
                when 'social' then coalesce(social_network, referral_source)
                when 'messenger' then coalesce(messenger, referral_source)
                when 'recommend' then coalesce(recommending_site, referral_source)
                when 'email' then 'email'
                when 'qrcode' then 'qrcode'
                -- a page kept from earlier, or a visit that broke off and went on, came from nowhere else
                when 'direct' then '(direct)'
                when 'internal' then '(direct)'
                when 'saved' then '(direct)'
            end
        ) as source,
        coalesce(
            utm_medium,
            case traffic_source
                when 'ad' then ad_medium
                when 'organic' then 'organic'
                when 'referral' then 'referral'
                when 'social' then 'social'
                when 'messenger' then 'messenger'
                when 'recommend' then 'referral'
                when 'email' then 'email'
                -- printed on something
                when 'qrcode' then 'offline'
                when 'direct' then case when utm_source is null then '(none)' end
                when 'internal' then case when utm_source is null then '(none)' end
                when 'saved' then case when utm_source is null then '(none)' end
                else '(not set)'
            end
        ) as medium
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
    source,
    medium,
    coalesce(utm_campaign, direct_campaign) as campaign,
    coalesce(direct_campaign_id, page_campaign_id) as campaign_id,
    utm_content as content,
    coalesce(utm_term, direct_phrase) as term,
    coalesce(click_id_type, case when traffic_source = 'ad' and gclid is not null then 'gclid' end)
        as click_id_type,
    coalesce(click_id, case when traffic_source = 'ad' then gclid end) as click_id,
    case device when '1' then 'desktop' when '2' then 'mobile' when '3' then 'tablet' when '4' then 'tv' end
        as device,
    city,
    -- Metrica tells the country and the city, no region between
    cast(null as varchar) as region,
    is_new_visitor,
    pageviews,
    duration_s,
    is_bounce
from placed
