select
    source_name,
    cost_id,
    channel,
    source,
    campaign,
    starts_on,
    ends_on,
    amount,
    currency
from {{ source('cost_sheet', 'other_costs') }}
