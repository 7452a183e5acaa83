select
    clicks.click_id,
    campaigns.campaign_key
from {{ ref('all_ad_clicks') }} as clicks
inner join {{ ref('ad_campaigns') }} as campaigns
    on
        lower(trim(clicks.source)) = campaigns.source
        and clicks.campaign_id = campaigns.campaign_id
qualify row_number() over (
    partition by clicks.click_id
    order by
        clicks.account is not distinct from campaigns.account desc,
        clicks.clicked_on desc nulls last,
        campaigns.campaign_key asc
) = 1
