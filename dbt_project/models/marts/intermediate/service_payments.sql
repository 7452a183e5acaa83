{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- A payment is of the lines billed to its payer, where the visit has any, else of all its lines, and is
-- divided among them in proportion to their amounts.
with paid as (
    select
        payments.source_name,
        payments.payment_id,
        payments.local_date,
        payments.payer_type,
        payments.amount,
        services.source_name as visit_source_name,
        services.visit_id,
        services.line_no,
        services.lines_of_visit,
        services.weight,
        coalesce(services.line_payer = payments.payer_type, false) as is_billed_to_payer
    from {{ ref('payment_visits') }} as payment_visits
    inner join {{ ref('payments') }} as payments
        on
            payment_visits.source_name = payments.source_name
            and payment_visits.payment_id = payments.payment_id
    inner join {{ ref('visit_services') }} as services
        on
            payment_visits.visit_source_name = services.source_name
            and payment_visits.visit_id = services.visit_id
),

candidates as (
    select *
    from paid
    where lines_of_visit > 1
    qualify
        rank() over (
            partition by source_name, payment_id
            order by is_billed_to_payer desc
        ) = 1
)

-- most visits have one line
select
    source_name,
    payment_id,
    local_date,
    payer_type,
    visit_source_name,
    visit_id,
    line_no,
    amount
from paid
where lines_of_visit = 1

union all

{{ divide_by_weight(
    'candidates',
    columns=[
        'source_name', 'payment_id', 'local_date', 'payer_type', 'visit_source_name', 'visit_id', 'line_no',
    ],
    amount='amount',
    weight='weight',
    within=['source_name', 'payment_id'],
    ties=['line_no'],
    share='amount',
) }}
