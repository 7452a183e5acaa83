select
    source_name,
    procedure_id as line_id,
    visit_id,
    coalesce(service, code) as service,
    doctor,
    amount,
    currency,
    cast(null as varchar) as payer_type
from {{ ref('stg_open_dental__done_procedures') }}
