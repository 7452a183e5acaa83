{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Real money and the visit that it pays. A visit number that only one visit has is that visit's, wherever it
-- was written down.
with sole_visits as (
    select
        visit_id,
        min(source_name) as source_name
    from {{ ref('visits') }}
    group by visit_id
    having count(*) = 1
)

select
    payments.source_name,
    payments.payment_id,
    payments.local_date,
    payments.amount,
    visits.source_name as visit_source_name,
    visits.visit_id,
    visits.doctor,
    visits.branch
from {{ ref('payments') }} as payments
left join sole_visits
    on payments.visit_id = sole_visits.visit_id
left join {{ ref('visits') }} as visits
    on
        payments.visit_id = visits.visit_id
        and coalesce(sole_visits.source_name, payments.source_name) = visits.source_name
where
    payments.is_real_money
    -- without a rate it has no amount in the clinic's currency
    and payments.amount is not null
