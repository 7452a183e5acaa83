{# What the list of follow-ups and its results share. #}


{# How long after it happened something may stand on the list. #}
{% macro follow_up_days() -%}
    {{ return(30) }}
{%- endmacro %}


{# Within so many hours of its first list somebody is to be reached. #}
{% macro follow_up_hours() -%}
    {{ return(72) }}
{%- endmacro %}


{# The instant at which a day of the clinic is over. #}
{% macro end_of_clinic_day(day) -%}
    timezone('{{ var("timezone") }}', cast({{ day }} + 1 as timestamp))
{%- endmacro %}
