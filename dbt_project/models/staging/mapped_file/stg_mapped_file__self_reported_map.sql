select
    source_name,
    text,
    channel
from {{ source('mapped_file', 'self_reported_map') }}
