{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- What a target may name, as rows: every measure of `kpi_tables` under every scope that it has.
{%- for table in kpi_tables() -%}
{%- set table_no = loop.index -%}
{%- set last_table = loop.last -%}
{%- for name, measure in table.measures.items() %}
{%- set last_measure = loop.last -%}
{%- for scope in ['clinic'] + (table.scopes | list) %}
select
    {{ table_no }} as table_no,
    '{{ table.mart }}' as mart,
    '{{ name }}' as measure,
    '{{ scope }}' as scope,
    '{{ measure.kind }}' as kind,
    '{{ measure.unit }}' as unit,
    {{ measure.lower | lower }} as is_lower_better,
    {{ measure.days }} as days_to_know
{{ "union all" if not (last_table and last_measure and loop.last) }}
{%- endfor -%}
{%- endfor -%}
{%- endfor %}
