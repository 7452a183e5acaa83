select
    source_name,
    line_id,
    visit_id,
    service,
    doctor,
    amount,
    currency,
    payer_type
from {{ ref('stg_onec__visit_rows') }}
where is_line
