-- a rate serves its own day and the seven after it, unless a newer one came
with carried as (
    select
        upper(trim(rates.currency)) as currency,
        rates.rate_date + carry.days as day,
        rates.rate_date,
        rates.rate
    from {{ ref('stg_reference__fx_rates') }} as rates
    cross join (values (0), (1), (2), (3), (4), (5), (6), (7)) as carry (days)
)

select
    currency,
    day,
    rate_date,
    rate
from carried
qualify row_number() over (
    partition by currency, day
    order by rate_date desc, rate asc
) = 1
