-- Leads, and what nobody has accepted yet. An unsorted enquiry carries the number of the lead that it
-- becomes, so it keeps its name when it does.
with unsorted as (
    select
        unsorted.*,
        coalesce(unsorted.lead_id, unsorted.uid) as enquiry_id
    from {{ source('amocrm', 'unsorted') }} as unsorted
    where
        unsorted.is_enquiry
        and not exists (
            select 1
            from {{ source('amocrm', 'leads') }} as leads
            where
                leads.source_name = unsorted.source_name
                and leads.lead_id = unsorted.lead_id
        )
    qualify row_number() over (
        partition by unsorted.source_name, coalesce(unsorted.lead_id, unsorted.uid)
        order by unsorted.created_at, unsorted.uid
    ) = 1
)

select
    source_name,
    lead_id as contact_id,
    'lead' as contact_kind,
    created_at,
    contact_id as person_id,
    pipeline_id,
    status_id,
    source_label,
    responsible_id,
    responsible,
    phone_key,
    email_key,
    is_valid,
    is_booked,
    visitor_id,
    user_ref,
    session_ref,
    branch,
    appointment_ref,
    contact_ref,
    callback_ref,
    utm_source,
    utm_medium,
    utm_campaign,
    campaign_id,
    utm_content,
    utm_term,
    click_id_type,
    click_id,
    landing_path,
    referrer_host
from {{ source('amocrm', 'leads') }}
where
    not coalesce(is_deleted, false)
    and is_enquiry

union all

select
    source_name,
    enquiry_id as contact_id,
    case category when 'forms' then 'form' when 'chats' then 'chat' else 'lead' end as contact_kind,
    created_at,
    contact_id as person_id,
    pipeline_id,
    'unsorted' as status_id,
    cast(null as varchar) as source_label,
    cast(null as varchar) as responsible_id,
    cast(null as varchar) as responsible,
    phone_key,
    cast(null as varchar) as email_key,
    cast(null as boolean) as is_valid,
    cast(null as boolean) as is_booked,
    cast(null as varchar) as visitor_id,
    cast(null as varchar) as user_ref,
    cast(null as varchar) as session_ref,
    cast(null as varchar) as branch,
    cast(null as varchar) as appointment_ref,
    call_ref as contact_ref,
    cast(null as varchar) as callback_ref,
    utm_source,
    utm_medium,
    utm_campaign,
    campaign_id,
    utm_content,
    utm_term,
    click_id_type,
    click_id,
    landing_path,
    referrer_host
from unsorted
