with spend as (
    select
        spend_date,
        channel,
        source,
        coalesce(campaign, '(none)') as campaign,
        cost,
        impressions,
        clicks,
        'ad_spend' as origin
    from {{ ref('ad_spend') }}
    where is_of_record

    union all

    select
        spend_date,
        channel,
        source,
        campaign,
        cost,
        cast(null as bigint) as impressions,
        cast(null as bigint) as clicks,
        'other_costs' as origin
    from {{ ref('other_costs') }}
)

select
    spend_date,
    channel,
    source,
    campaign,
    origin,
    cast(coalesce(sum(cost), 0) as decimal(18, 2)) as cost,
    cast(sum(impressions) as bigint) as impressions,
    cast(sum(clicks) as bigint) as clicks,
    count(*) filter (where cost is null) as rows_without_rate
from spend
group by all
