{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

{%- set traits = ['child_adult', 'sex', 'diagnosis_group', 'clv_class', 'first_doctor'] -%}

-- Patients' traits as far as they may be told: of each trait, the values of fewer than five patients become
-- one, (other), with the next larger values until it is five patients. Age bands are put together within
-- child and adult, as these are shown.
with counted as (
    {% for trait in traits -%}
    select
        '{{ trait }}' as trait,
        {{ trait }} as value,
        count(*) as patients
    from {{ ref('patient_traits') }}
    group by all
    {%- if not loop.last %}

    union all

    {% endif -%}
    {%- endfor %}
),

told as (
    select
        trait,
        value,
        case
            when
                min(patients) over (partition by trait) < {{ fewest_patients() }}
                and (
                    patients < {{ fewest_patients() }}
                    or sum(patients) over (partition by trait order by patients, value)
                    - patients < {{ fewest_patients() }}
                )
                then '(other)'
            else value
        end as shown
    from counted
),

shown_groups as (
    select
        patients.patient_id,
        {% for trait in traits -%}
        {{ trait }}_told.shown as {{ trait }},
        {% endfor -%}
        patients.age_band,
        patients.revenue
    from {{ ref('patient_traits') }} as patients
    {% for trait in traits -%}
    inner join told as {{ trait }}_told
        on
            {{ trait }}_told.trait = '{{ trait }}'
            and patients.{{ trait }} = {{ trait }}_told.value
    {% endfor -%}
),

counted_bands as (
    select
        child_adult,
        age_band,
        count(*) as patients
    from shown_groups
    group by all
),

told_bands as (
    select
        child_adult,
        age_band,
        case
            when
                min(patients) over (partition by child_adult) < {{ fewest_patients() }}
                and (
                    patients < {{ fewest_patients() }}
                    or sum(patients) over (partition by child_adult order by patients, age_band)
                    - patients < {{ fewest_patients() }}
                )
                then '(other)'
            else age_band
        end as shown
    from counted_bands
)

select
    shown_groups.patient_id,
    shown_groups.child_adult,
    told_bands.shown as age_band,
    shown_groups.sex,
    shown_groups.diagnosis_group,
    shown_groups.clv_class,
    shown_groups.first_doctor,
    shown_groups.revenue
from shown_groups
inner join told_bands
    on
        shown_groups.child_adult = told_bands.child_adult
        and shown_groups.age_band = told_bands.age_band
-- of fewer patients than that nothing may be told
where (select count(*) from {{ ref('patient_traits') }}) >= {{ fewest_patients() }}
