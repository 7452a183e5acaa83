select
    source_name,
    number,
    phone_key,
    channel,
    source,
    campaign,
    valid_from,
    valid_to
from {{ source('mapped_file', 'tracking_numbers') }}
