-- The cash desk may be a system of its own: a visit number that only one visit has is that visit's, wherever
-- it was written down.
with sole_visits as (
    select
        visit_id,
        min(patient_id) as patient_id
    from {{ ref('visits') }}
    group by visit_id
    having count(*) = 1
)

-- a payment that names no patient is its visit's patient's
select
    payments.source_name,
    payments.payment_id,
    payments.visit_id,
    coalesce(cards.patient_id, payments.patient_id, visits.patient_id, sole_visits.patient_id) as patient_id,
    payments.paid_at,
    {{ clinic_date('payments.paid_at') }} as local_date,
    {{ to_clinic_money('payments.amount', row_currency('payments.currency'), 'fx.rate') }} as amount,
    payments.amount as amount_native,
    {{ row_currency('payments.currency') }} as currency,
    payments.payer_type,
    -- points and deposits were paid for, or given away, before
    coalesce(payments.payer_type not in ('loyalty', 'deposit'), true) as is_real_money
from {{ ref('all_payments') }} as payments
left join {{ ref('patient_cards') }} as cards
    on payments.patient_id = cards.card_id
left join {{ ref('visits') }} as visits
    on
        payments.source_name = visits.source_name
        and payments.visit_id = visits.visit_id
left join sole_visits
    on payments.visit_id = sole_visits.visit_id
left join {{ ref('fx_days') }} as fx
    on
        {{ row_currency('payments.currency') }} = fx.currency
        and {{ clinic_date('payments.paid_at') }} = fx.day
