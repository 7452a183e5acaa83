-- Every row that may be a contact of its own: calls that came in, rows of a callback that somebody asked for,
-- and what other channels delivered.
with calls as (
    select
        source_name,
        call_id as vendor_id,
        -- who asked on the site to be called back filled in a form
        case when direction = 'callback' then 'form' else 'call' end as contact_kind,
        called_at as contacted_at,
        local_date,
        phone_key,
        cast(null as varchar) as email_key,
        visitor_id,
        user_ref,
        session_ref,
        operator,
        branch,
        is_answered,
        is_target,
        talk_s,
        is_answered as is_dialog,
        is_target as is_valid,
        phone_key is not null as is_contact_left,
        cast(null as boolean) as is_booked,
        coalesce(not is_answered, false) as is_missed,
        cast(null as varchar) as appointment_ref,
        cast(null as varchar) as contact_ref,
        callback_ref,
        tracking_number_no,
        {{ origin_column_names() | join(', ') }}
    from {{ ref('call_rows') }}
    where
        not is_internal
        and (direction = 'inbound' or (direction = 'callback' and callback_ref is not null))
),

others as (
    select
        contacts.source_name,
        contacts.contact_id as vendor_id,
        contacts.contact_kind,
        contacts.contacted_at,
        {{ clinic_date('contacts.contacted_at') }} as local_date,
        contacts.phone_key,
        contacts.email_key,
        contacts.visitor_id,
        contacts.user_ref,
        contacts.session_ref,
        contacts.operator,
        contacts.branch,
        cast(null as boolean) as is_answered,
        cast(null as boolean) as is_target,
        cast(null as bigint) as talk_s,
        contacts.is_dialog,
        contacts.is_valid,
        coalesce(
            contacts.is_contact_left, contacts.phone_key is not null or contacts.email_key is not null
        ) as is_contact_left,
        contacts.is_booked,
        contacts.is_missed,
        contacts.appointment_ref,
        contacts.contact_ref,
        contacts.callback_ref,
        cast(null as bigint) as tracking_number_no,
        {{ origin_columns(
            source='coalesce(contacts.source, contacts.utm_source)',
            medium='coalesce(contacts.medium, contacts.utm_medium)',
            campaign='contacts.utm_campaign',
            campaign_id='contacts.campaign_id',
            content='contacts.utm_content',
            term='contacts.utm_term',
            click_id_type='contacts.click_id_type',
            referrer='contacts.referrer_host',
            click_campaign_key='clicks.campaign_key',
        ) | indent(8) }}
    from {{ ref('all_contacts') }} as contacts
    left join {{ ref('click_campaigns') }} as clicks
        on contacts.click_id = clicks.click_id
)

select
    source_name || ':' || vendor_id as contact_id,
    *
from calls

union all

select
    source_name || ':' || vendor_id as contact_id,
    *
from others
