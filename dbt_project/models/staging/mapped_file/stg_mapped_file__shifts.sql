select
    source_name,
    shift_id,
    resource,
    doctor,
    room,
    branch,
    starts_at,
    ends_at
from {{ source('mapped_file', 'shifts') }}
