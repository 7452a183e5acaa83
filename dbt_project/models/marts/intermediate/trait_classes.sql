{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

{#-
    Why nothing can be solved for. Every value and every class of shown_traits is of five patients or more, and
    the tables here share their classes alone, so that each of them is all there is to know of its own cells.
    Where the hidden values of a table have k patients of a class together (none, or five and more), all that
    can be told of a hidden value of m patients is m and k: it may have up to min(m, k) patients of the class,
    which is five or more, whatever it has.
-#}
{%- set traits = ['child_adult', 'age_band', 'sex', 'diagnosis_group', 'first_doctor'] -%}

-- Every value of a trait by CLV class, and which of them are hidden: all classes of a value at once, where a
-- class has one to four patients; and for a class of which the hidden values have fewer than five together,
-- the smallest other value that has any.
with values_shown as (
    {% for trait in traits -%}
    select
        '{{ trait }}' as trait,
        {{ 'child_adult' if trait == 'age_band' else "'(all)'" }} as scope,
        {{ trait }} as value,
        clv_class,
        revenue
    from {{ ref('shown_traits') }}
    {%- if not loop.last %}

    union all

    {% endif -%}
    {%- endfor %}
),

counted as (
    select
        trait,
        scope,
        value,
        clv_class,
        count(*) as patients,
        sum(revenue) as revenue
    from values_shown
    group by all
),

trait_values as (
    select distinct
        trait,
        scope,
        value
    from counted
),

classes as (
    select distinct clv_class
    from counted
),

cells as (
    select
        trait_values.trait,
        trait_values.scope,
        trait_values.value,
        classes.clv_class,
        coalesce(counted.patients, 0) as patients,
        coalesce(counted.revenue, 0) as revenue,
        sum(coalesce(counted.patients, 0)) over (
            partition by trait_values.trait, trait_values.scope, trait_values.value
        ) as patients_of_value,
        bool_or(coalesce(counted.patients, 0) between 1 and {{ fewest_patients() }} - 1) over (
            partition by trait_values.trait, trait_values.scope, trait_values.value
        ) as is_small
    from trait_values
    cross join classes
    left join counted
        on
            trait_values.trait = counted.trait
            and trait_values.scope = counted.scope
            and trait_values.value = counted.value
            and classes.clv_class = counted.clv_class
),

next_ones as (
    select
        *,
        sum(case when is_small then patients else 0 end) over (partition by trait, scope, clv_class)
        between 1 and {{ fewest_patients() }} - 1
        and row_number() over (
            partition by trait, scope, clv_class
            order by is_small, patients = 0, patients_of_value, value
        ) = 1 as is_next
    from cells
),

hidden as (
    select
        trait,
        scope,
        value,
        clv_class,
        patients,
        revenue,
        bool_or(is_small or is_next) over (partition by trait, scope, value) as is_hidden
    from next_ones
),

-- a hidden child or adult hides all its bands, else they would add up to it
nested as (
    select
        hidden.trait,
        hidden.scope,
        hidden.value,
        hidden.clv_class,
        hidden.patients,
        hidden.revenue,
        hidden.is_hidden or coalesce(age_groups.is_hidden, false) as is_hidden,
        case when coalesce(age_groups.is_hidden, false) then '(all)' else hidden.scope end as pool
    from hidden
    left join hidden as age_groups
        on
            hidden.trait = 'age_band'
            and age_groups.trait = 'child_adult'
            and hidden.scope = age_groups.value
            and hidden.clv_class = age_groups.clv_class
)

-- a class that no hidden value has is known to be nil in each of them
select
    trait,
    scope,
    value,
    clv_class,
    patients,
    revenue,
    is_hidden
    and sum(case when is_hidden then patients else 0 end) over (partition by trait, pool, clv_class) > 0
        as is_suppressed
from nested
