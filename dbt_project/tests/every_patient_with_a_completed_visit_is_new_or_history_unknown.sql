-- Nobody drops out between the visits and the count of new patients.
with visitors as (
    select distinct patient_id
    from {{ ref('visits') }}
    where is_completed
)

select
    visitors.patient_id,
    history.reason
from visitors
full join {{ ref('patient_history') }} as history
    on visitors.patient_id = history.patient_id
where
    visitors.patient_id is null
    or history.patient_id is null
