select
    source_name,
    payment_id,
    visit_id,
    patient_id,
    paid_at,
    amount,
    currency,
    payer_type
from {{ source('onec', 'payments') }}

union all

-- an exported list of visits may tell what was paid for each line
select
    source_name,
    concat(visit_id, ':', line_id, ':paid') as payment_id,
    visit_id,
    patient_id,
    coalesce(paid_at, visited_at) as paid_at,
    paid as amount,
    currency,
    payer_type
from {{ ref('stg_onec__visit_rows') }}
where paid <> 0

union all

-- a column of refunds holds what was given back; some exports write it with a minus all the same
select
    source_name,
    concat(visit_id, ':', line_id, ':refund') as payment_id,
    visit_id,
    patient_id,
    coalesce(paid_at, visited_at) as paid_at,
    -abs(refund) as amount,
    currency,
    payer_type
from {{ ref('stg_onec__visit_rows') }}
where refund <> 0
