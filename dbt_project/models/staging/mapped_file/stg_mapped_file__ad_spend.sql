select
    source_name,
    spend_date,
    source,
    account,
    report_level,
    campaign_id,
    campaign_name,
    campaign_type,
    ad_group,
    keyword,
    device,
    impressions,
    clicks,
    cost_native,
    currency,
    tax_basis
from {{ source('mapped_file', 'ad_spend') }}
