-- Revenue is told by splits: a payment covers several procedures, and several patients of a family. A split
-- without a procedure is a prepayment and counts when it was paid; when it is spent, one split takes it back
-- and another gives it to the procedure, so that nothing counts twice.
select
    splits.source_name,
    splits.split_id as payment_id,
    procedures.visit_id,
    splits.patient_id,
    splits.paid_at,
    splits.amount,
    splits.currency,
    case
        when payments.configured_payer_type is not null then payments.configured_payer_type
        when regexp_full_match(lower(payments.pay_type), '.*(gift|loyalty|points).*') then 'loyalty'
        when regexp_full_match(lower(payments.pay_type), '.*insur.*') then 'insurer'
        when regexp_full_match(lower(payments.pay_type), '.*cash.*') then 'cash'
        when
            regexp_full_match(
                lower(payments.pay_type),
                '.*(credit|debit|card|visa|master|amex|american express|discover|carecredit).*'
            )
            then 'card'
        when
            regexp_full_match(
                lower(payments.pay_type),
                '.*(check|cheque|wire|transfer|bank).*|(.*[^a-z])?(eft|ach)([^a-z].*)?'
            )
            then 'transfer'
    end as payer_type
from {{ source('open_dental', 'paysplits') }} as splits
left join {{ source('open_dental', 'payments') }} as payments
    on
        splits.source_name = payments.source_name
        and splits.payment_id = payments.payment_id
left join {{ ref('stg_open_dental__done_procedures') }} as procedures
    on
        splits.source_name = procedures.source_name
        and splits.procedure_id = procedures.procedure_id
where splits.amount <> 0
