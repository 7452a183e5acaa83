-- Every payment for a known visit is divided among lines of that visit, and the shares sum to it.
with shares as (
    select
        source_name,
        payment_id,
        sum(amount) as amount,
        min(visit_id) as visit_id
    from {{ ref('service_payments') }}
    group by all
)

select
    source_name,
    payment_id,
    payment_visits.amount as paid,
    shares.amount as divided
from {{ ref('payment_visits') }} as payment_visits
full join shares using (source_name, payment_id)
where
    (payment_visits.visit_id is not null and shares.amount is null)
    or payment_visits.amount != shares.amount
    or payment_visits.visit_id is distinct from shares.visit_id
