select
    calls.source_name,
    calls.call_id,
    calls.called_at,
    calls.local_date,
    calls.direction,
    calls.phone_key,
    calls.tracking_number,
    calls.talk_s,
    calls.wait_s,
    calls.is_answered,
    calls.is_voicemail,
    calls.status_raw,
    calls.is_internal,
    calls.is_target,
    calls.vendor_is_target,
    calls.operator,
    calls.branch,
    calls.visitor_id,
    calls.user_ref,
    calls.session_ref,
    contacts.contact_id,
    coalesce(contacts.channel, origins.channel) as channel,
    case when contacts.contact_id is not null then contacts.source else origins.source end as source,
    case when contacts.contact_id is not null then contacts.campaign else origins.campaign end as campaign,
    case when contacts.contact_id is not null then contacts.campaign_id else origins.campaign_id end
        as campaign_id,
    calls.source as source_raw,
    calls.medium,
    calls.utm_source,
    calls.utm_medium,
    calls.utm_campaign,
    calls.campaign_id as campaign_id_raw,
    calls.utm_content,
    calls.utm_term,
    calls.click_id_type,
    calls.click_id,
    calls.landing_path,
    calls.referrer_host,
    calls.tags,
    calls.recording_ref,
    calls.pbx_ref,
    calls.callback_ref,
    calls.is_pbx
from {{ ref('call_rows') }} as calls
inner join {{ ref('origins') }} as origins
    on calls.origin_key = origins.origin_key
left join {{ ref('contact_folds') }} as folds
    on calls.source_name || ':' || calls.call_id = folds.contact_id
left join {{ ref('contacts') }} as contacts
    on coalesce(folds.into_contact_id, calls.source_name || ':' || calls.call_id) = contacts.contact_id
