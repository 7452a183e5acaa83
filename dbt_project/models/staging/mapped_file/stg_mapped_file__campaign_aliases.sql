select
    source_name,
    alias,
    campaign
from {{ source('mapped_file', 'campaign_aliases') }}
