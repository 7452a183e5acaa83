-- The phone is on the lead, or on the contact; tags may be on either. A contact older than the enquiry has
-- the tags of an earlier one: only those of a contact made with the enquiry count, and only where the
-- enquiry has none itself.
with enquiries as (
    select
        enquiries.*,
        coalesce(
            enquiries.utm_source,
            enquiries.utm_medium,
            enquiries.utm_campaign,
            enquiries.click_id,
            enquiries.landing_path
        ) is not null as has_origin
    from {{ ref('stg_bitrix24__enquiries') }} as enquiries
),

stages as (
    select
        source_name,
        case when entity_id = 'STATUS' then 'STATUS' else 'DEAL_STAGE' end as stage_list,
        status_id,
        min(name) as name
    from {{ source('bitrix24', 'statuses') }}
    where entity_id = 'STATUS' or entity_id like 'DEAL_STAGE%'
    group by 1, 2, 3
),

named as (
    select
        enquiries.*,
        people.phone_key as person_phone_key,
        people.email_key as person_email_key,
        coalesce(enquiries.responsible, users.name) as operator,
        coalesce(stages.name, enquiries.stage_id) as status_raw,
        -- the bare number of an open line says nothing
        coalesce(
            sources.name, case when enquiries.source_id not like '%|%' then enquiries.source_id end
        ) as source_label,
        not enquiries.has_origin
        and coalesce(
            {{ elapsed_us('people.created_at', 'enquiries.created_at') }} <= {{ days_us(1) }}, false
        ) as is_by_person,
        people.visitor_id as person_visitor_id,
        people.user_ref as person_user_ref,
        people.utm_source as person_utm_source,
        people.utm_medium as person_utm_medium,
        people.utm_campaign as person_utm_campaign,
        people.campaign_id as person_campaign_id,
        people.utm_content as person_utm_content,
        people.utm_term as person_utm_term,
        people.click_id_type as person_click_id_type,
        people.click_id as person_click_id,
        people.landing_path as person_landing_path,
        people.referrer_host as person_referrer_host
    from enquiries
    left join {{ source('bitrix24', 'contacts') }} as people
        on
            enquiries.source_name = people.source_name
            and enquiries.person_id = people.contact_id
    left join stages
        on
            enquiries.source_name = stages.source_name
            and enquiries.stage_list = stages.stage_list
            and enquiries.stage_id = stages.status_id
    left join {{ source('bitrix24', 'statuses') }} as sources
        on
            sources.entity_id = 'SOURCE'
            and enquiries.source_name = sources.source_name
            and enquiries.source_id = sources.status_id
    left join {{ source('bitrix24', 'users') }} as users
        on
            enquiries.source_name = users.source_name
            and enquiries.responsible_id = users.user_id
),

tagged as (
    select
        *,
        {%- for column in [
            'utm_source', 'utm_medium', 'utm_campaign', 'campaign_id', 'utm_content', 'utm_term', 'click_id_type',
            'click_id', 'landing_path', 'referrer_host',
        ] %}
        case when is_by_person then person_{{ column }} else {{ column }} end as own_{{ column }},
        {%- endfor %}
        coalesce(phone_key, person_phone_key) as own_phone_key,
        coalesce(email_key, person_email_key) as own_email_key
    from named
)

select
    source_name,
    contact_id,
    -- standard sources of the portal; a channel of an open line is `<number>|<connector>`
    case
        when source_id in ('WEBFORM', 'CALLBACK') then 'form'
        when upper(source_id) like '%|OPENLINE' or upper(source_id) like '%|LIVECHAT%' then 'chat'
        when source_id like '%|%' then 'messenger'
        else 'lead'
    end as contact_kind,
    created_at as contacted_at,
    own_phone_key as phone_key,
    own_email_key as email_key,
    -- whoever the visitor was, the id is the person's
    coalesce(visitor_id, person_visitor_id) as visitor_id,
    coalesce(user_ref, person_user_ref) as user_ref,
    session_ref,
    operator,
    branch,
    status_raw,
    cast(null as boolean) as is_dialog,
    is_valid,
    own_phone_key is not null or own_email_key is not null as is_contact_left,
    is_booked,
    cast(null as boolean) as is_missed,
    appointment_ref,
    contact_ref,
    callback_ref,
    -- what the desk chose from the portal's list stands in only where nothing was tagged
    case
        when coalesce(own_utm_source, own_utm_medium, own_utm_campaign, own_click_id) is null
            then lower(source_label)
    end as source,
    cast(null as varchar) as medium,
    own_utm_source as utm_source,
    own_utm_medium as utm_medium,
    own_utm_campaign as utm_campaign,
    own_campaign_id as campaign_id,
    own_utm_content as utm_content,
    own_utm_term as utm_term,
    own_click_id_type as click_id_type,
    own_click_id as click_id,
    own_landing_path as landing_path,
    own_referrer_host as referrer_host
from tagged
