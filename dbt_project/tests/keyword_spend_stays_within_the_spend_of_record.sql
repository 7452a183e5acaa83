-- Reports by keyword are a part of their account's spend of record. Where they hold more, beyond the rounding
-- of their rows, one of the two reports is out of date, or an account is loaded twice.
{{ config(severity='warn') }}

with levels as (
    select
        source,
        account,
        {{ month_of('spend_date') }} as month,
        coalesce(sum(cost) filter (where is_of_record), 0) as cost,
        coalesce(sum(cost) filter (where report_level = 'keyword' and not is_of_record), 0) as keyword_cost,
        count(*) filter (where report_level = 'keyword' and not is_of_record) as keyword_rows
    from {{ ref('ad_spend') }}
    group by all
)

select
    source,
    account,
    month,
    cost,
    keyword_cost
from levels
where keyword_cost > 1.01 * cost + 0.005 * keyword_rows
