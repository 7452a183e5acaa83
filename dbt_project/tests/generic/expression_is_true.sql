{#- `expression` is true of every row; a row of which it is unknown fails too. -#}
{% test expression_is_true(model, expression) %}

select *
from {{ model }}
where ({{ expression }}) is not true

{% endtest %}
