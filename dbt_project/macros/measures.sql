{# Arithmetic that journeys and marts share. #}


{# Microseconds from `earlier` to `later`. Windows and gaps are compared in microseconds of UTC: adding an
   interval of days to a timestamptz would follow the clock changes of the session's time zone. #}
{% macro elapsed_us(earlier, later) -%}
    (epoch_us({{ later }}) - epoch_us({{ earlier }}))
{%- endmacro %}


{# A number of seconds, minutes … as microseconds, for comparison with elapsed_us. #}
{% macro seconds_us(seconds) -%}
    {{ (seconds * 1000000) | int }}
{%- endmacro %}


{% macro days_us(days) -%}
    {{ seconds_us(days * 86400) }}
{%- endmacro %}


{# The calendar day in the clinic's zone. #}
{% macro clinic_date(moment) -%}
    cast(timezone('{{ var("timezone") }}', {{ moment }}) as date)
{%- endmacro %}


{# The first day of the month of a date. #}
{% macro month_of(day) -%}
    cast(date_trunc('month', {{ day }}) as date)
{%- endmacro %}


{# A ratio as DOUBLE; NULL where the denominator is zero. #}
{% macro ratio(numerator, denominator) -%}
    cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0)
{%- endmacro %}


{# A number as money, half up to the cent. A quotient is a double, in which 5.025 is 5.02499…; eight decimals
   first give the tie back before it is rounded. #}
{% macro to_money(expression) -%}
    cast(round(cast({{ expression }} as decimal(28, 8)), 2) as decimal(18, 2))
{%- endmacro %}


{# Money per unit, half up to the cent; NULL where there is no unit. #}
{% macro money_ratio(money, units) -%}
    {{ to_money(ratio(money, units)) }}
{%- endmacro %}


{# A credit as a decimal: sums of decimals do not depend on the order of rows, sums of doubles do. Nineteen
   digits, because DuckDB keeps the product of two decimals of up to eighteen within eighteen: credit × money
   would overflow from 10,000.00 on. #}
{% macro exact_credit(credit) -%}
    cast({{ credit }} as decimal(19, 12))
{%- endmacro %}


{# A sum of credits as published: nine places are what each patient's credits sum to one within. #}
{% macro credit_count(sum_of_credits) -%}
    cast(round({{ sum_of_credits }}, 9) as double)
{%- endmacro %}


{# A relation whose `measures` (exact decimals: credit × money) are brought to the cent so that their sum within
   `within` stays what it was: every row is rounded down, and the cents that are left go to the rows with the
   largest remainders, ties by `keys`. No row is a cent away from its exact figure, and no cent is lost.
   The relation must have exactly the columns keys + others + measures. #}
{% macro to_the_cent(relation, keys, others, measures, within) %}
    {%- set partition = within | join(', ') -%}
    select
        {% for column in keys + others -%}
        {{ column }},
        {% endfor -%}
        {% for measure in measures -%}
        cast(
            (
                {{ measure }}_floor
                + case when {{ measure }}_rank <= {{ measure }}_left then 1 else 0 end
            ) * 0.01 as decimal(18, 2)
        ) as {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
    from (
        select
            {% for column in keys + others -%}
            {{ column }},
            {% endfor -%}
            {% for measure in measures -%}
            {{ measure }}_floor,
            round(sum({{ measure }}_cents) over (partition by {{ partition }}), 0)
            - sum({{ measure }}_floor) over (partition by {{ partition }}) as {{ measure }}_left,
            row_number() over (
                partition by {{ partition }}
                order by {{ measure }}_cents - {{ measure }}_floor desc, {{ keys | join(', ') }}
            ) as {{ measure }}_rank{{ "," if not loop.last }}
            {% endfor %}
        from (
            select
                {% for column in keys + others -%}
                {{ column }},
                {% endfor -%}
                {% for measure in measures -%}
                {{ measure }} * 100 as {{ measure }}_cents,
                floor({{ measure }} * 100) as {{ measure }}_floor{{ "," if not loop.last }}
                {% endfor %}
            from {{ relation }}
        )
    )
{% endmacro %}
