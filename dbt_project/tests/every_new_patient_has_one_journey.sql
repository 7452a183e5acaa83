-- patient_journeys holds the new patients of patient_history, each once, and nobody else.
with new_patients as (
    select patient_id
    from {{ ref('patient_history') }}
    where is_new_patient
)

select
    coalesce(history.patient_id, journeys.patient_id) as patient_id,
    count(journeys.patient_id) as journeys
from new_patients as history
full join {{ ref('patient_journeys') }} as journeys
    on history.patient_id = journeys.patient_id
group by
    coalesce(history.patient_id, journeys.patient_id),
    history.patient_id
having
    count(journeys.patient_id) != 1
    or history.patient_id is null
