-- The phone is on the contact; tags are on the lead, and on the contact where a widget puts them there. A
-- contact older than the enquiry has the tags of an earlier one: only those of a contact made with it count,
-- and only where the enquiry has none itself.
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
    from {{ ref('stg_amocrm__enquiries') }} as enquiries
),

named as (
    select
        enquiries.*,
        people.phone_key as person_phone_key,
        people.email_key as person_email_key,
        coalesce(enquiries.responsible, users.name) as operator,
        coalesce(stages.status, enquiries.status_id) as status_raw,
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
    left join {{ source('amocrm', 'contacts') }} as people
        on
            enquiries.source_name = people.source_name
            and enquiries.person_id = people.contact_id
    left join {{ source('amocrm', 'pipelines') }} as stages
        on
            enquiries.source_name = stages.source_name
            and enquiries.pipeline_id = stages.pipeline_id
            and enquiries.status_id = stages.status_id
    left join {{ source('amocrm', 'users') }} as users
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
    contact_kind,
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
    -- the account's own source stands in only where nothing was tagged
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
