{# A figure of fewer patients than this is not shown. #}
{% macro fewest_patients() -%}
    5
{%- endmacro %}
