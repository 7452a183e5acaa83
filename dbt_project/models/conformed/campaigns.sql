with mapped as (
    select
        lower(trim(campaign)) as name_key,
        min(branch) as branch,
        min(service_line) as service_line
    from {{ ref('stg_reference__campaign_map') }}
    group by name_key
)

select
    campaigns.source,
    campaigns.account,
    campaigns.campaign_id,
    campaigns.campaign,
    campaigns.campaign_type,
    campaigns.channel,
    mapped.branch,
    mapped.service_line,
    campaigns.last_spend_date
from {{ ref('ad_campaigns') }} as campaigns
left join mapped
    on lower(campaigns.campaign) = mapped.name_key
-- spend that names no campaign is in ad_spend
where campaigns.campaign is not null
