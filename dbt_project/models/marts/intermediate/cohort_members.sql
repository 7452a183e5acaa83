{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- New patients by the channels that brought them; a patient of two is in both, by the credit of each.
select
    journeys.patient_id,
    {{ month_of('journeys.first_visit_date') }} as cohort_month,
    credits.channel,
    coalesce(journeys.first_doctor, '(unknown)') as first_doctor,
    journeys.first_visit_at,
    journeys.first_visit_date,
    sum({{ exact_credit('credits.credit') }}) as credit
from {{ ref('attribution_credits') }} as credits
inner join {{ ref('patient_journeys') }} as journeys
    on credits.patient_id = journeys.patient_id
where
    credits.attribution_model = '{{ var("default_model") }}'
    and credits.credit > 0
group by all
