-- the first contacts of people who are no patients yet; what was unwanted is left out
with first_contacts as (
    select
        month,
        channel,
        source,
        campaign,
        hour_of_day,
        weekday,
        is_missed,
        is_missed and is_recovered as is_recovered,
        is_missed and not is_recovered as is_lost
    from {{ ref('enquiries') }}
    where
        is_first
        and standing = 'eligible'
),

cells as (
    select
        month,
        channel,
        source,
        hour_of_day,
        weekday,
        count(*) as first_contacts,
        count(*) filter (where is_missed) as missed,
        count(*) filter (where is_recovered) as recovered,
        count(*) filter (where is_lost) as not_recovered
    from first_contacts
    group by all
),

-- the spend of a campaign's month bought its first contacts, each for the same money
prices as (
    select
        contacts.month,
        contacts.channel,
        contacts.source,
        contacts.campaign,
        cast({{ ratio('costs.cost', 'contacts.first_contacts') }} as decimal(28, 12)) as cost_per_contact
    from (
        select
            month,
            channel,
            source,
            campaign,
            count(*) as first_contacts
        from first_contacts
        group by all
    ) as contacts
    inner join {{ ref('monthly_costs') }} as costs
        on
            contacts.month = costs.month
            and contacts.channel = costs.channel
            and contacts.source = costs.source
            and contacts.campaign = costs.campaign
),

wasted as (
    select
        lost.month,
        lost.channel,
        lost.source,
        lost.hour_of_day,
        lost.weekday,
        sum(prices.cost_per_contact) as spend_wasted
    from first_contacts as lost
    inner join prices
        on
            lost.month = prices.month
            and lost.channel = prices.channel
            and lost.source = prices.source
            and lost.campaign = prices.campaign
    where lost.is_lost
    group by all
),

clv as (
    select {{ ratio('sum(revenue_365d)', 'count(revenue_365d)') }} as revenue_365d
    from {{ ref('patient_journeys') }}
)

select
    cells.month,
    cells.channel,
    cells.source,
    cells.hour_of_day,
    cells.weekday,
    cells.first_contacts,
    cells.missed,
    cells.recovered,
    cells.not_recovered,
    {{ ratio('cells.missed', 'cells.first_contacts') }} as missed_rate,
    {{ ratio('cells.recovered', 'cells.missed') }} as recovery_rate,
    {{ to_money('coalesce(wasted.spend_wasted, 0)') }} as spend_wasted,
    rates.booking_rate,
    rates.show_rate,
    {{ to_money('clv.revenue_365d') }} as revenue_365d_avg,
    {{ to_money('cells.not_recovered * rates.booking_rate * rates.show_rate * clv.revenue_365d') }}
        as revenue_lost
from cells
cross join clv
left join wasted
    on
        cells.month = wasted.month
        and cells.channel = wasted.channel
        and cells.source = wasted.source
        and cells.hour_of_day = wasted.hour_of_day
        and cells.weekday = wasted.weekday
left join {{ ref('first_contact_rates') }} as rates
    on
        cells.month = rates.month
        and cells.channel = rates.channel
