{%- set traits = ['child_adult', 'age_band', 'sex', 'diagnosis_group', 'clv_class', 'first_doctor'] -%}

with clinic as (
    select
        count(*) as new_patients,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('patient_traits') }}
),

by_one as (
    {% for trait in traits -%}
    select
        '{{ trait }}' as breakdown,
        {% for column in traits -%}
        {% if column == trait or (trait == 'age_band' and column == 'child_adult') -%}
        {{ column }},
        {% else -%}
        '(all)' as {{ column }},
        {% endif -%}
        {% endfor -%}
        count(*) as new_patients,
        sum(revenue) as revenue
    from {{ ref('shown_traits') }}
    group by all
    {%- if not loop.last %}

    union all

    {% endif -%}
    {%- endfor %}
),

by_class as (
    select
        concat(trait, '_by_clv_class') as breakdown,
        {% for column in traits -%}
        {% if column == 'clv_class' -%}
        clv_class,
        {% elif column == 'child_adult' -%}
        case
            when trait = 'child_adult' then value
            when trait = 'age_band' then scope
            else '(all)'
        end as child_adult,
        {% else -%}
        case when trait = '{{ column }}' then value else '(all)' end as {{ column }},
        {% endif -%}
        {% endfor -%}
        patients as new_patients,
        revenue,
        is_suppressed
    from {{ ref('trait_classes') }}
),

combined as (
    select
        'total' as breakdown,
        {% for column in traits -%}
        '(all)' as {{ column }},
        {% endfor -%}
        new_patients,
        revenue,
        new_patients < {{ fewest_patients() }} as is_suppressed
    from clinic

    union all

    select
        breakdown,
        {{ traits | join(', ') }},
        new_patients,
        revenue,
        false as is_suppressed
    from by_one

    union all

    select
        breakdown,
        {{ traits | join(', ') }},
        new_patients,
        revenue,
        is_suppressed
    from by_class
),

told as (
    select
        breakdown,
        {{ traits | join(', ') }},
        case when not is_suppressed then new_patients end as new_patients,
        case when not is_suppressed then revenue end as revenue,
        is_suppressed
    from combined
)

select
    told.breakdown,
    {% for column in traits -%}
    told.{{ column }},
    {% endfor -%}
    told.new_patients,
    cast(told.revenue as decimal(18, 2)) as revenue,
    {{ ratio('told.new_patients', 'clinic.new_patients') }} as patient_share,
    {{ ratio('told.revenue', 'clinic.revenue') }} as revenue_share,
    {{ money_ratio('told.revenue', 'told.new_patients') }} as revenue_per_patient,
    told.is_suppressed
from told
cross join clinic
