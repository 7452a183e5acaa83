-- Bookings that clients made online, whatever became of them.
select
    source_name,
    concat('record:', record_id) as contact_id,
    'online_booking' as contact_kind,
    booked_at as contacted_at,
    phone_key,
    email_key,
    cast(null as varchar) as visitor_id,
    cast(null as varchar) as user_ref,
    cast(null as varchar) as session_ref,
    cast(null as varchar) as operator,
    branch,
    status_raw,
    true as is_dialog,
    true as is_valid,
    phone_key is not null or email_key is not null as is_contact_left,
    true as is_booked,
    false as is_missed,
    record_id as appointment_ref,
    cast(null as varchar) as contact_ref,
    cast(null as varchar) as callback_ref,
    cast(null as varchar) as source,
    cast(null as varchar) as medium,
    utm_source,
    utm_medium,
    utm_campaign,
    campaign_id,
    utm_content,
    utm_term,
    click_id_type,
    click_id,
    landing_path,
    cast(null as varchar) as referrer_host
from {{ ref('stg_yclients__records') }}
where
    is_online
    and client_id is not null
    and booked_at is not null
