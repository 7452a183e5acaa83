with spread as (
    select
        source_name,
        cost_id,
        nullif(trim(channel), '') as own_channel,
        origin_key,
        amount,
        {{ row_currency('currency') }} as currency,
        starts_on,
        -- an end before the start would lose the money
        greatest(coalesce(ends_on, starts_on), starts_on) - starts_on + 1 as days,
        unnest(range(0, greatest(coalesce(ends_on, starts_on), starts_on) - starts_on + 1)) as day_no
    from {{ ref('cost_rows') }}
),

shares as (
    select
        *,
        {{ to_money('cast(amount as double) / days') }} as daily_amount
    from spread
),

dated as (
    select
        *,
        cast(starts_on + cast(day_no as integer) as date) as spend_date,
        case
            when day_no = days - 1 then cast(amount - daily_amount * (days - 1) as decimal(18, 6))
            else cast(daily_amount as decimal(18, 6))
        end as cost_native
    from shares
)

select
    dated.source_name,
    dated.cost_id,
    dated.spend_date,
    case
        when origins.campaign_matched_by is not null then origins.channel
        else coalesce(dated.own_channel, origins.channel)
    end as channel,
    origins.source,
    origins.campaign,
    {{ to_clinic_money('dated.cost_native', 'dated.currency', 'fx.rate') }} as cost,
    dated.cost_native,
    dated.currency
from dated
inner join {{ ref('origins') }} as origins
    on dated.origin_key = origins.origin_key
left join {{ ref('fx_days') }} as fx
    on
        dated.currency = fx.currency
        and dated.spend_date = fx.day
