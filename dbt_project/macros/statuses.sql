{#- A status of the conformed list; anything else, also no text where the source has a status, is `unknown`. -#}
{% macro known_status(status, if_absent='unknown') -%}
case
    when {{ status }} is null then '{{ if_absent }}'
    when {{ status }} in ({% for name in appointment_statuses() %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor %})
        then {{ status }}
    else 'unknown'
end
{%- endmacro %}


{% macro appointment_statuses() -%}
    {{ return([
        'booked', 'confirmed', 'arrived', 'in_progress', 'completed', 'no_show', 'cancelled_by_patient',
        'cancelled_by_clinic', 'rescheduled', 'entered_in_error', 'unknown',
    ]) }}
{%- endmacro %}
