select
    source_name,
    observed_on,
    metric,
    scope,
    scope_value,
    value
from {{ source('mapped_file', 'metric_observations') }}
