{%- set touch = ['source', 'medium', 'campaign', 'keywords', 'landing_path', 'referrer_host'] -%}
{%- set tags = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term', 'campaign_id'] -%}
with touched as (
    select
        *,
        {%- for name in touch %}
        case
            when has_last_touch then last_{{ name }}
            else first_{{ name }}
        end as touch_{{ name }},
        {%- endfor %}
        -- a touch without a page (a dedicated number, a number in an ad) is described by the call
        {%- for name in tags %}
        case
            when has_last_touch and last_landing_path is not null then last_{{ name }}
            when has_last_touch then coalesce(last_{{ name }}, first_{{ name }})
            else first_{{ name }}
        end as touch_{{ name }},
        {%- endfor %}
        -- the call's click id is the most valuable of any touch: a page without one has none
        has_last_touch and last_landing_path is not null as is_click_of_page
    from {{ source('callrail', 'calls') }}
),

named as (
    select
        *,
        case
            when touch_source = 'direct' then '(direct)'
            when touch_source = 'google my business' then 'google_my_business'
            else regexp_replace(
                touch_source, ' (ads|adwords|organic|paid|cpc|ppc|call extension|call asset)$', ''
            )
        end as source_name_of_touch
    from touched
)

select
    source_name,
    call_id,
    called_at,
    direction_raw as direction,
    phone_key,
    tracking_number,
    -- the duration is of the whole call: of one that nobody took it is the ringing, or the voicemail
    case
        when
            is_finished
            and is_answered
            and not coalesce(is_voicemail, false)
            and duration_s >= 0
            then duration_s
    end as talk_s,
    cast(null as bigint) as wait_s,
    case when is_finished then is_answered and not coalesce(is_voicemail, false) end as is_answered,
    is_voicemail,
    call_type as status_raw,
    operator,
    company_name as branch,
    visitor_id,
    cast(null as varchar) as user_ref,
    -- session_uuid is CallRail's own; the web session is found by the visitor and the time
    cast(null as varchar) as session_ref,
    source_name_of_touch as source,
    case when touch_medium = 'direct' then '(none)' else touch_medium end as medium,
    touch_utm_source as utm_source,
    touch_utm_medium as utm_medium,
    coalesce(touch_utm_campaign, touch_campaign) as utm_campaign,
    touch_campaign_id as campaign_id,
    touch_utm_content as utm_content,
    coalesce(touch_utm_term, touch_keywords) as utm_term,
    case
        when is_click_of_page then last_click_id_type
        else coalesce(last_click_id_type, click_id_type, first_click_id_type)
    end as click_id_type,
    case
        when is_click_of_page then last_click_id
        else coalesce(last_click_id, click_id, first_click_id)
    end as click_id,
    touch_landing_path as landing_path,
    touch_referrer_host as referrer_host,
    case
        when lead_status = 'good_lead' then true
        when lead_status = 'not_a_lead' then false
    end as vendor_is_target,
    tags,
    recording_ref,
    cast(null as varchar) as pbx_ref,
    cast(null as varchar) as callback_ref,
    false as is_pbx
from named
