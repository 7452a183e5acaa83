select
    source_name,
    metric,
    scope,
    scope_value,
    baseline,
    value,
    is_relative,
    starts_on,
    due_on,
    owner,
    horizon
from {{ source('mapped_file', 'targets') }}
