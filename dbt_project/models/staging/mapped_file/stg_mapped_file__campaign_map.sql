select
    source_name,
    campaign,
    branch,
    service_line,
    budget_role
from {{ source('mapped_file', 'campaign_map') }}
