{#-
    Union of what every configured kind delivers for one conformed table, cast to the declared types.
    A clinic without any such source gets the same columns and no rows.
-#}
{% macro union_feeds(table) -%}
    {%- set columns = var('inputs').get(table, {'source_name': 'varchar'}) -%}
    {%- set feeding = var('feeds').get(table, []) -%}
    {%- for kind in feeding %}
{{ 'union all' if not loop.first }}
select
        {%- for name, type in columns.items() %}
    cast({{ quoted(name) }} as {{ type }}) as {{ quoted(name) }}{{ ',' if not loop.last }}
        {%- endfor %}
from {{ ref('stg_' ~ kind ~ '__' ~ table) }}
    {%- endfor -%}
    {%- if not feeding -%}
select
        {%- for name, type in columns.items() %}
    cast(null as {{ type }}) as {{ quoted(name) }}{{ ',' if not loop.last }}
        {%- endfor %}
where false
    {%- endif -%}
{%- endmacro %}


{#-
    A reference table: the clinic's own file, and the mapped_file streams that feed the same name.
    `columns` is {name: type}. `shifts` is a conformed table too; its feeds go there, not here.
-#}
{% macro union_reference(name, columns) -%}
select
    {%- for column, type in columns.items() %}
    cast({{ quoted(column) }} as {{ type }}) as {{ quoted(column) }},
    {%- endfor %}
    source_name
from {{ source('reference', name) }}
    {%- if name not in var('inputs') -%}
        {%- for kind in var('feeds').get(name, []) %}
union all
select
            {%- for column, type in columns.items() %}
    cast({{ quoted(column) }} as {{ type }}) as {{ quoted(column) }},
            {%- endfor %}
    source_name
from {{ ref('stg_' ~ kind ~ '__' ~ name) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
