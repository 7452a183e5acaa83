{%- set has_visits = ['mapped_file', 'visits'] in var('streams') -%}
{#- Enabled where at least one of the two streams is configured. -#}
{%- set has_payments = not has_visits or ['mapped_file', 'payments'] in var('streams') -%}

{%- if has_payments -%}
select
    source_name,
    payment_id,
    visit_id,
    patient_id,
    paid_at,
    amount,
    currency,
    payer_type
from {{ source('mapped_file', 'payments') }}
{%- endif %}
{% if has_payments and has_visits %}
union all
{% endif %}
{% if has_visits -%}
select
    source_name,
    concat(visit_id, ':', line_id, ':paid') as payment_id,
    visit_id,
    patient_id,
    coalesce(paid_at, visited_at) as paid_at,
    paid as amount,
    currency,
    payer_type
from {{ source('mapped_file', 'visits') }}
where paid <> 0

union all

-- a refund column holds what was given back; some exports write it with a minus all the same
select
    source_name,
    concat(visit_id, ':', line_id, ':refund') as payment_id,
    visit_id,
    patient_id,
    coalesce(paid_at, visited_at) as paid_at,
    -abs(refund) as amount,
    currency,
    payer_type
from {{ source('mapped_file', 'visits') }}
where refund <> 0
{%- endif %}
