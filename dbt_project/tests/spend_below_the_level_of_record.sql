-- Days on which an account has rows, but none of the level that counts: such spend is in no mart.
{{ config(severity='warn') }}

select
    source_name,
    account,
    spend_date,
    list_sort(list_distinct(list(report_level))) as levels
from {{ ref('ad_spend') }}
group by all
having not bool_or(is_of_record)
