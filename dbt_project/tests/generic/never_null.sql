{#- No row lacks any of `columns`: one pass over the relation, where a test of each column would be many. -#}
{% test never_null(model, columns) %}

select {{ columns | join(', ') }}
from {{ model }}
where
    {% for column in columns -%}
    {{ column }} is null{{ ' or' if not loop.last }}
    {% endfor %}

{% endtest %}
