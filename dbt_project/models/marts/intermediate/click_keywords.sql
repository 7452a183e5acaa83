{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

select
    click_id,
    keyword
from {{ ref('all_ad_clicks') }}
where keyword is not null
qualify row_number() over (
    partition by click_id
    order by clicked_on desc nulls last, source_name asc, keyword asc
) = 1
