-- Of a campaign's spend that share is wasted which its lost first contacts have of all, but for the rounding
-- of each row; every eligible first contact stands in missed_contacts once.
with campaigns as (
    select
        month,
        channel,
        source,
        campaign,
        count(*) as first_contacts,
        count(*) filter (where is_missed and not is_recovered) as lost
    from {{ ref('enquiries') }}
    where
        is_first
        and standing = 'eligible'
    group by all
),

expected as (
    select
        month,
        channel,
        source,
        sum(campaigns.first_contacts) as first_contacts,
        sum(campaigns.lost) as lost,
        sum(coalesce(costs.cost, 0) * campaigns.lost / cast(campaigns.first_contacts as double)) as wasted
    from campaigns
    left join {{ ref('monthly_costs') }} as costs using (month, channel, source, campaign)
    group by all
),

published as (
    select
        month,
        channel,
        source,
        sum(first_contacts) as first_contacts,
        sum(not_recovered) as lost,
        sum(spend_wasted) as wasted,
        count(*) as cells
    from {{ ref('missed_contacts') }}
    group by all
)

select
    month,
    channel,
    source,
    expected.first_contacts,
    published.first_contacts as published_contacts,
    expected.lost,
    published.lost as published_lost,
    expected.wasted,
    published.wasted as published_wasted
from expected
full join published using (month, channel, source)
where
    expected.first_contacts is distinct from published.first_contacts
    or expected.lost is distinct from published.lost
    or abs(expected.wasted - cast(published.wasted as double)) > 0.005 * published.cells + 1e-6
