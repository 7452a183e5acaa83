select
    source_name,
    service,
    "group",
    care_setting,
    specialty,
    list_price,
    margin_share
from {{ source('mapped_file', 'services') }}
