{#-
    Every amount that needs an exchange rate, as if the newest known rate of its currency had no age limit; the
    native amount where there is none at all. Only so can what has no rate be weighed against what has one.
    Columns: measure, source_name, day, currency, is_converted, weight.
-#}
{% macro weighed_money() -%}
last_rates as (
    select
        upper(trim(currency)) as currency,
        max_by(rate, rate_date) as rate
    from {{ ref('stg_reference__fx_rates') }}
    group by all
),

amounts as (
    select
        'spend' as measure,
        source_name,
        spend_date as day,
        currency,
        cost as converted,
        cost_native as native
    from {{ ref('ad_spend') }}
    where is_of_record

    union all

    select
        'spend' as measure,
        source_name,
        spend_date as day,
        currency,
        cost as converted,
        cost_native as native
    from {{ ref('other_costs') }}

    union all

    select
        'payments' as measure,
        source_name,
        local_date as day,
        currency,
        amount as converted,
        amount_native as native
    from {{ ref('payments') }}
),

weighed as (
    select
        amounts.measure,
        amounts.source_name,
        amounts.day,
        amounts.currency,
        amounts.converted is not null as is_converted,
        abs(
            coalesce(
                cast(amounts.converted as double),
                cast(amounts.native as double) * coalesce(cast(last_rates.rate as double), 1)
            )
        ) as weight
    from amounts
    left join last_rates
        on amounts.currency = last_rates.currency
)
{%- endmacro %}
