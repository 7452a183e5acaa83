select
    journeys.patient_id,
    journeys.acquiring_contact_id
from {{ ref('patient_journeys') }} as journeys
left join {{ ref('journey_touches') }} as touches
    on
        journeys.patient_id = touches.patient_id
        and journeys.acquiring_contact_id = touches.contact_id
where
    journeys.acquiring_contact_id is not null
    and touches.touch_id is null
