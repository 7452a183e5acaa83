select
    spend.source_name,
    spend.spend_date,
    spend.source,
    spend.account,
    spend.report_level,
    spend.is_of_record,
    campaigns.channel,
    spend.campaign_id,
    campaigns.campaign,
    spend.campaign_name as campaign_raw,
    campaigns.campaign_type,
    spend.ad_group,
    spend.keyword,
    spend.device,
    spend.impressions,
    spend.clicks,
    spend.cost_native,
    spend.currency,
    spend.cost,
    spend.tax_basis,
    spend.is_tax_unknown
from {{ ref('spend_rows') }} as spend
inner join {{ ref('ad_campaigns') }} as campaigns
    on spend.campaign_key = campaigns.campaign_key
