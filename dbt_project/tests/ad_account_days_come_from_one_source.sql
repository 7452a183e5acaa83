-- The same account's day loaded by two sources would be spent twice.
{{ config(severity='error') }}

select
    source,
    account,
    spend_date,
    list_sort(list_distinct(list(source_name))) as source_names
from {{ ref('ad_spend') }}
where
    is_of_record
    and account is not null
    and cost_native != 0
group by source, account, spend_date
having count(distinct source_name) > 1
