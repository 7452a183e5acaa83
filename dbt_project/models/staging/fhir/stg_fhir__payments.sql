-- A payment is of the visit, and of the patient, of what it settles. A notice counts only where the payment
-- that it tells of did not come itself.
with invoices as (
    select
        lines.source_name,
        lines.invoice_id,
        max(lines.patient_id) as patient_id,
        -- an invoice over several visits is of none of them
        case when count(distinct charges.encounter_id) = 1 then min(charges.encounter_id) end as encounter_id
    from {{ source('fhir', 'invoices') }} as lines
    left join {{ ref('stg_fhir__charges') }} as charges
        on
            lines.source_name = charges.source_name
            and lines.charge_item_id = charges.charge_item_id
    where not coalesce(lines.is_deleted, false)
    group by lines.source_name, lines.invoice_id
),

reconciliations as (
    select *
    from {{ source('fhir', 'payment_reconciliations') }}
    where
        not coalesce(is_deleted, false)
        and status = 'active'
        and coalesce(outcome, 'complete') not in ('error', 'queued')
),

paid as (
    select
        source_name,
        payment_id || '#' || line as payment_id,
        paid_at,
        amount,
        currency,
        request_type,
        request_id,
        encounter_id,
        case
            when is_from_organization then 'insurer'
            when method = 'cash' then 'cash'
            when method in ('ccca', 'cdac', 'debc', 'visn') then 'card'
            when method in ('ddpo', 'swft', 'chck', 'cchk', 'trac') then 'transfer'
        end as payer_type
    from reconciliations

    union all

    select
        notices.source_name,
        'notice:' || notices.notice_id as payment_id,
        notices.paid_at,
        notices.amount,
        notices.currency,
        notices.request_type,
        notices.request_id,
        cast(null as varchar) as encounter_id,
        cast(null as varchar) as payer_type
    from {{ source('fhir', 'payment_notices') }} as notices
    where
        not coalesce(notices.is_deleted, false)
        and notices.status = 'active'
        and not exists (
            select 1
            from {{ source('fhir', 'payment_reconciliations') }} as told
            where
                told.source_name = notices.source_name
                and told.payment_id = notices.payment_id
        )
)

select
    paid.source_name,
    paid.payment_id,
    coalesce(
        paid.encounter_id,
        case when paid.request_type = 'Encounter' then paid.request_id end,
        charges.encounter_id,
        invoices.encounter_id
    ) as visit_id,
    coalesce(charges.patient_id, invoices.patient_id) as patient_id,
    paid.paid_at,
    paid.amount,
    paid.currency,
    paid.payer_type
from paid
left join {{ ref('stg_fhir__charges') }} as charges
    on
        paid.request_type = 'ChargeItem'
        and paid.source_name = charges.source_name
        and paid.request_id = charges.charge_item_id
left join invoices
    on
        paid.request_type = 'Invoice'
        and paid.source_name = invoices.source_name
        and paid.request_id = invoices.invoice_id
