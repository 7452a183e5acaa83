with rates as (
    {%- for entry in var('vat_rates') %}
    select
        cast('{{ entry["since"] }}' as date) as valid_from,
        cast({{ entry["rate"] }} as decimal(5, 4)) as rate
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        cast(null as date) as valid_from,
        cast(null as decimal(5, 4)) as rate
    where false
    {%- endfor %}
)

select
    valid_from,
    coalesce(lead(valid_from) over (order by valid_from) - 1, cast('9999-12-31' as date)) as valid_to,
    rate
from rates
