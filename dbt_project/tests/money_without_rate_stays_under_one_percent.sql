-- Publication stops when, of the money of the last 30 days up to as_of, more than 1 % is in a currency
-- without an exchange rate. Without any visit the newest spend takes the place of as_of.
{{ config(severity='error') }}

with {{ weighed_money() }},

horizon as (
    select coalesce(max(as_of.as_of), (select max(weighed.day) from weighed)) as as_of
    from {{ ref('as_of') }} as as_of
)

select
    weighed.measure,
    sum(weighed.weight) as money,
    sum(weighed.weight) filter (where not weighed.is_converted) as money_without_rate
from weighed
cross join horizon
where weighed.day > horizon.as_of - 30
group by weighed.measure
having sum(weighed.weight) filter (where not weighed.is_converted) > 0.01 * sum(weighed.weight)
