{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

select
    {{ month_of('local_date') }} as month,
    coalesce(channel, 'unassigned') as channel,
    coalesce(source, '(none)') as source,
    coalesce(campaign, '(none)') as campaign,
    count(*) as sessions
from {{ ref('web_sessions') }}
group by all
