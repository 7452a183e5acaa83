select
    source_name,
    rate_date,
    currency,
    rate
from {{ source('mapped_file', 'fx_rates') }}
