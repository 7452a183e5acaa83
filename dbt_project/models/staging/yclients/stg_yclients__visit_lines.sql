select
    lines.source_name,
    concat(lines.record_id, ':', lines.line_no) as line_id,
    visit_records.visit_id,
    lines.service,
    records.doctor,
    lines.cost as amount,
    lines.currency,
    cast(null as varchar) as payer_type
from {{ source('yclients', 'records') }} as lines
inner join {{ ref('stg_yclients__visit_records') }} as visit_records
    on
        lines.source_name = visit_records.source_name
        and lines.record_id = visit_records.record_id
inner join {{ ref('stg_yclients__records') }} as records
    on
        lines.source_name = records.source_name
        and lines.record_id = records.record_id
where lines.service is not null
