{%- set asked_for = "('sitephone', 'lead', 'auto_back_call_by_offline_message')" -%}
{%- set called_back = "('auto_back_call_by_lost_call', 'amocrm_extended_integration')" -%}
select
    source_name,
    call_id,
    called_at,
    case
        -- ordered by a visitor, or ringing back who was missed; direction tells only who was connected first
        when call_source in {{ asked_for }} or call_source in {{ called_back }} then 'callback'
        when direction_raw = 'out' then 'outbound'
        else 'inbound'
    end as direction,
    phone_key,
    tracking_number,
    case
        when is_lost or has_voice_mail then null
        when clean_talk_duration_s >= 0 then clean_talk_duration_s
        when talk_duration_s >= 0 then talk_duration_s
    end as talk_s,
    case when wait_duration_s >= 0 then wait_duration_s end as wait_s,
    not is_lost and not coalesce(has_voice_mail, false) as is_answered,
    has_voice_mail as is_voicemail,
    finish_reason as status_raw,
    operator,
    cast(null as varchar) as branch,
    visitor_id,
    cast(null as varchar) as user_ref,
    -- visitor_session_id is UIS's own; the web session is found by the visitor and the time
    cast(null as varchar) as session_ref,
    case
        when utm_source is not null then utm_source
        when contains(search_engine, 'yandex') or contains(search_engine, 'яндекс') then 'yandex'
        when contains(search_engine, 'google') then 'google'
        when contains(search_engine, 'mail') then 'mail.ru'
        when search_engine is not null then search_engine
        when traffic_channel = 'direct' then '(direct)'
    end as source,
    case
        when utm_medium is not null then utm_medium
        when traffic_channel = 'paid' then 'cpc'
        when traffic_channel = 'direct' then '(none)'
        -- what UIS calls internal, cashed or recommendation says nothing of where the visitor came from
        when
            traffic_channel in (
                'display', 'affiliate', 'messenger', 'social', 'email', 'organic', 'referral'
            ) then traffic_channel
    end as medium,
    utm_source,
    utm_medium,
    -- UIS's own campaign of a number without a web session; of a session, its name is no ad platform's
    case when visitor_session_id is null then coalesce(utm_campaign, campaign_name) else utm_campaign end
        as utm_campaign,
    campaign_id,
    utm_content,
    coalesce(utm_term, search_query) as utm_term,
    click_id_type,
    click_id,
    landing_path,
    referrer_host,
    case
        when list_contains(attributes, 'target') then true
        when list_contains(attributes, 'off-target') then false
    end as vendor_is_target,
    tags,
    recording_ref,
    external_id as pbx_ref,
    case when call_source in {{ asked_for }} then coalesce(communication_id, call_id) end as callback_ref,
    false as is_pbx
from {{ source('uis_comagic', 'calls') }}
