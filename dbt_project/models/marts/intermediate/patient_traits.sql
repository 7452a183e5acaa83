{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- the earliest diagnosis that anybody wrote down: a first visit often has none yet
with diagnoses as (
    select
        patient_id,
        upper(trim(diagnosis)) as diagnosis
    from {{ ref('visits') }}
    where
        is_completed
        and trim(diagnosis) != ''
    qualify row_number() over (partition by patient_id order by visited_at, visit_id, source_name) = 1
),

aged as (
    select
        journeys.patient_id,
        year(journeys.first_visit_date) - patients.birth_year as age,
        patients.sex,
        diagnoses.diagnosis,
        journeys.clv_class,
        journeys.first_doctor,
        journeys.revenue_to_date
    from {{ ref('patient_journeys') }} as journeys
    left join {{ ref('patients') }} as patients
        on journeys.patient_id = patients.patient_id
    left join diagnoses
        on journeys.patient_id = diagnoses.patient_id
)

select
    patient_id,
    case
        when age between 0 and 17 then 'child'
        when age between 18 and 120 then 'adult'
        else '(unknown)'
    end as child_adult,
    case
        when age between 0 and 6 then '00-06'
        when age between 7 and 13 then '07-13'
        when age between 14 and 17 then '14-17'
        when age between 18 and 29 then '18-29'
        when age between 30 and 44 then '30-44'
        when age between 45 and 59 then '45-59'
        when age between 60 and 74 then '60-74'
        when age between 75 and 120 then '75+'
        else '(unknown)'
    end as age_band,
    coalesce(sex, '(unknown)') as sex,
    coalesce(diagnosis, '(unknown)') as diagnosis_group,
    clv_class,
    coalesce(first_doctor, '(unknown)') as first_doctor,
    revenue_to_date as revenue
from aged
