-- Every currency that lacks a rate on some day, with the rows it concerns: add rates to fx_rates.
{{ config(severity='warn') }}

with {{ weighed_money() }}

select
    measure,
    source_name,
    currency,
    count(*) as rows_without_rate,
    min(day) as first_day,
    max(day) as last_day
from weighed
where not is_converted
group by all
