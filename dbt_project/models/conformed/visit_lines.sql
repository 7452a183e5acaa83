select
    lines.source_name,
    lines.line_id,
    lines.visit_id,
    lines.service,
    catalogue.service_group,
    catalogue.care_setting,
    catalogue.specialty,
    lines.doctor,
    {{ to_clinic_money('lines.amount', row_currency('lines.currency'), 'fx.rate') }} as amount,
    lines.amount as amount_native,
    {{ row_currency('lines.currency') }} as currency,
    lines.payer_type
from {{ ref('all_visit_lines') }} as lines
left join {{ ref('all_visits') }} as visits
    on
        lines.source_name = visits.source_name
        and lines.visit_id = visits.visit_id
left join {{ ref('service_catalogue') }} as catalogue
    on lower(trim(lines.service)) = catalogue.service_key
left join {{ ref('fx_days') }} as fx
    on
        {{ row_currency('lines.currency') }} = fx.currency
        and {{ clinic_date('visits.visited_at') }} = fx.day
