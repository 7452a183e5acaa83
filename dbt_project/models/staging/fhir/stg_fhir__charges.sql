-- Charges that count, each with its own price, else with that of the invoices that bill it.
with billed as (
    select
        source_name,
        charge_item_id,
        -- a price of which a part is unknown, or in two currencies, is unknown
        case
            when count(amount) = count(*) and count(distinct coalesce(currency, '')) = 1 then sum(amount)
        end as amount,
        min(currency) as currency
    from {{ source('fhir', 'invoices') }}
    where
        not coalesce(is_deleted, false)
        and status in ('issued', 'balanced')
        and charge_item_id is not null
    group by source_name, charge_item_id
),

charges as (
    select
        *,
        case
            when practitioner_role_id is not null or practitioner_role_identifier is not null
                then 'practitioner_role'
            else 'practitioner'
        end as staff_resource,
        coalesce(
            'id:' || practitioner_id,
            'identifier:' || practitioner_identifier,
            'id:' || practitioner_role_id,
            'identifier:' || practitioner_role_identifier
        ) as staff_key
    from {{ source('fhir', 'charge_items') }}
    where not coalesce(is_deleted, false)
)

select
    charges.source_name,
    charges.charge_item_id,
    charges.encounter_id,
    charges.patient_id,
    charges.service,
    coalesce(staff.doctor, charges.practitioner_name) as doctor,
    -- planned, aborted and not billable charges are nobody's debt
    charges.status in ('billable', 'billed') as is_billed,
    coalesce(charges.amount, billed.amount) as amount,
    case when charges.amount is null then billed.currency else charges.currency end as currency
from charges
left join billed
    on
        charges.source_name = billed.source_name
        and charges.charge_item_id = billed.charge_item_id
left join {{ ref('stg_fhir__staff') }} as staff
    on
        charges.source_name = staff.source_name
        and charges.staff_resource = staff.resource
        and charges.staff_key = staff.reference_key
