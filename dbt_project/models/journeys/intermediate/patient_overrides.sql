{{ config(schema='intermediate', materialized='table') }}

select
    coalesce(cards.patient_id, trim(decided.id)) as patient_id,
    trim(decided.channel) as channel,
    nullif(trim(decided.{{ quoted('by') }}), '') as decided_by,
    decided.{{ quoted('on') }} as decided_on,
    nullif(trim(decided.reason), '') as reason
from {{ ref('stg_reference__channel_overrides') }} as decided
left join {{ ref('patient_cards') }} as cards
    on trim(decided.id) = cards.card_id
where lower(trim(decided.kind)) = 'patient'
-- of several decisions on one patient the latest stands
qualify row_number() over (
    partition by coalesce(cards.patient_id, trim(decided.id))
    order by
        decided.{{ quoted('on') }} desc nulls last,
        trim(decided.channel),
        decided.{{ quoted('by') }},
        decided.reason
) = 1
