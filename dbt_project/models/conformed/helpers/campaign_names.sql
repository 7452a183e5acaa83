-- every name that a campaign ever had; where several campaigns had one, the newest holder comes first
with names as (
    select
        spend.campaign_key,
        lower(spend.campaign_name) as name_key,
        max(spend.spend_date) as last_named_on
    from {{ ref('spend_rows') }} as spend
    where spend.campaign_name is not null
    group by all
)

select
    campaigns.platform,
    names.name_key,
    names.campaign_key,
    names.last_named_on,
    row_number() over (
        partition by campaigns.platform, names.name_key
        order by names.last_named_on desc, names.campaign_key asc
    ) as preference
from names
inner join {{ ref('ad_campaigns') }} as campaigns
    on names.campaign_key = campaigns.campaign_key
