select
    source_name,
    click_id,
    click_id_type,
    clicked_on,
    source,
    account,
    campaign_id,
    keyword
from {{ source('mapped_file', 'ad_clicks') }}
