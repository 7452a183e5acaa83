select
    source_name,
    priority,
    platform,
    campaign_type,
    click_id_type,
    source,
    medium,
    campaign,
    referrer,
    is_brand,
    channel,
    is_paid
from {{ source('mapped_file', 'channel_rules') }}
