{#-
    Conversion to the clinic's currency, rounded once, half up to the cent and away from zero, so that a refund
    cancels its payment exactly.
    `rate` is the day's rate of a foreign currency; NULL gives NULL. `factor` and `divisor` carry VAT.
    Decimals up to the rounding, widened first because a product is computed in the width of its wider factor.
    A quotient is a double, whose noise ten decimals cut off; a true quotient by 1 + a rate of four decimals
    cannot come nearer to a half cent than 4e-7.
-#}
{% macro to_clinic_money(amount, currency, rate, factor=none, divisor=none) -%}
{%- set converted -%}
cast({{ amount }} as decimal(38, 6)) * case
    when {{ currency }} = '{{ var("currency") }}' then cast(1 as decimal(12, 6)) else cast({{ rate }} as decimal(12, 6))
end
{%- endset -%}
{%- if divisor -%}
cast(round(cast(cast({{ converted }} as double) / ({{ divisor }}) as decimal(28, 10)), 2) as decimal(18, 2))
{%- elif factor -%}
cast(round({{ converted }} * cast({{ factor }} as decimal(5, 4)), 2) as decimal(18, 2))
{%- else -%}
cast(round({{ converted }}, 2) as decimal(18, 2))
{%- endif -%}
{%- endmacro %}


{#- The currency of a row: upper case; the clinic's own where the source names none. -#}
{% macro row_currency(currency) -%}
coalesce(upper(nullif(trim({{ currency }}), '')), '{{ var("currency") }}')
{%- endmacro %}
