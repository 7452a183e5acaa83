{#
    A relation whose rows share an amount of money among them, to the cent: a row's share is
    amount × weight / the weights of its group, cut to the cent, and the cents that are left go one by one to the
    largest remainders, ties by `ties`. Shares sum to the amount, none is a whole cent off, and a refund is divided
    as the payment was. Equal shares where all weights of the group are nil.

    `amount` is decimal(18, 2) and the same in all rows of a group, `weight` a whole number, not negative; the
    group is named by `within`. Whole numbers throughout: a share does not depend on how a quotient is rounded.
    Only the quotient itself is a double, of which a multiple of the divisor makes a whole number again.
#}
{% macro divide_by_weight(relation, columns, amount, weight, within, ties, share='share') %}
{%- set partition = within | join(', ') -%}
    select
        {% for column in columns -%}
        {{ column }},
        {% endfor -%}
        cast(
            direction * (whole_cents + case when place <= cents_left then 1 else 0 end) * 0.01 as decimal(18, 2)
        ) as {{ share }}
    from (
        select
            *,
            cents - sum(whole_cents) over (partition by {{ partition }}) as cents_left,
            row_number() over (
                partition by {{ partition }}
                order by remainder desc, {{ ties | join(', ') }}
            ) as place
        from (
            select
                *,
                cents * part % whole as remainder,
                cast(
                    round(cast(cents * part - cents * part % whole as double) / cast(whole as double), 0)
                    as decimal(19, 0)
                ) as whole_cents
            from (
                select
                    *,
                    case when total_weight > 0 then whole_weight else 1 end as part,
                    cast(case when total_weight > 0 then total_weight else members end as decimal(38, 0)) as whole
                from (
                    select
                        *,
                        case when {{ amount }} < 0 then -1 else 1 end as direction,
                        cast(abs({{ amount }}) * 100 as decimal(19, 0)) as cents,
                        cast({{ weight }} as decimal(19, 0)) as whole_weight,
                        sum(cast({{ weight }} as decimal(19, 0))) over (partition by {{ partition }})
                            as total_weight,
                        count(*) over (partition by {{ partition }}) as members
                    from {{ relation }}
                )
            )
        )
    )
{% endmacro %}
