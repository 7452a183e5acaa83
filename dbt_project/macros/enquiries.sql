{# What the marts about answering share. #}


{# Fewer contacts than these tell nothing of an operator, and of a channel nothing that all channels do not. #}
{% macro fewest_contacts() -%}
    30
{%- endmacro %}


{# Rates that a month is measured by are those of so many months, itself the last: one month of one channel, hour
   and branch has too few contacts. #}
{% macro months_of_rates() -%}
    12
{%- endmacro %}


{# A month as a number that rises by one from month to month. #}
{% macro month_number(month) -%}
    (12 * year({{ month }}) + month({{ month }}))
{%- endmacro %}


{# The hour of the day in the clinic's zone, 0 to 23. #}
{% macro clinic_hour(moment) -%}
    cast(hour(timezone('{{ var("timezone") }}', {{ moment }})) as bigint)
{%- endmacro %}


{# The day of the week, Monday 1 to Sunday 7. #}
{% macro weekday_of(day) -%}
    cast(isodow({{ day }}) as bigint)
{%- endmacro %}


{# Whether whoever made contact in a month has had the look-back's days to come: from then on the month's rates of
   bookings and new patients stand. #}
{% macro is_month_over(month, as_of) -%}
    coalesce(cast(last_day({{ month }}) as date) + {{ var('lookback_days') }} <= {{ as_of }}, false)
{%- endmacro %}


{# The name by which one operator of several lists is known; NULL for nobody. #}
{% macro operator_key(name) -%}
    nullif(lower(trim({{ name }})), '')
{%- endmacro %}


{# One end, by `sign`, of the 95 % Wilson score interval of a share of `hits` among `cases`; NULL without cases. To
   nine places: what is exactly 0 or 1 would lie a rounding error beyond. #}
{% macro wilson_end(hits, cases, sign) -%}
    {%- set z = '1.959963984540054' -%}
    cast(
        cast(
            (
                {{ hits }} + {{ z }} * {{ z }} / 2
                {{ sign }} {{ z }} * sqrt({{ ratio(hits, cases) }} * ({{ cases }} - {{ hits }}) + {{ z }} * {{ z }} / 4)
            ) / nullif({{ cases }} + {{ z }} * {{ z }}, 0)
            as decimal(12, 9)
        ) as double
    )
{%- endmacro %}
