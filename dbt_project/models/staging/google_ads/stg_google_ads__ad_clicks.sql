select
    source_name,
    click_id,
    'gclid' as click_id_type,
    clicked_on,
    'google' as source,
    account,
    campaign_id,
    keyword
from {{ source('google_ads', 'clicks') }}
