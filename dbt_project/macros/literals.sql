{#- A text as an SQL literal. -#}
{% macro sql_text(value) -%}
    '{{ value | string | replace("'", "''") }}'
{%- endmacro %}


{#- A name as an SQL identifier: some conformed columns are called `group`, `on` or `by`. -#}
{% macro quoted(name) -%}
    "{{ name }}"
{%- endmacro %}
