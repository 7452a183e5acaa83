{#
    Visitor or user ids (`column` of contacts) that more than five phones carry: a call centre's browser or a
    waiting room's account is no person's, and ties nobody.
#}
{% macro shared_ids(column) -%}
    select {{ column }}
    from {{ ref('contacts') }}
    where {{ column }} is not null
    group by {{ column }}
    having count(distinct phone_key) > 5
{%- endmacro %}
