{%- set has_visits = ['mapped_file', 'visits'] in var('streams') -%}
{#- Enabled where at least one of the two streams is configured. -#}
{%- set has_lines = not has_visits or ['mapped_file', 'visit_lines'] in var('streams') -%}

{%- if has_lines -%}
select
    source_name,
    line_id,
    visit_id,
    service,
    doctor,
    amount,
    currency,
    payer_type
from {{ source('mapped_file', 'visit_lines') }}
{%- endif %}
{% if has_lines and has_visits %}
union all
{% endif %}
{% if has_visits -%}
select
    source_name,
    line_id,
    visit_id,
    service,
    doctor,
    coalesce(amount, billed) as amount,
    currency,
    payer_type
from {{ source('mapped_file', 'visits') }}
where is_line
{%- endif %}
