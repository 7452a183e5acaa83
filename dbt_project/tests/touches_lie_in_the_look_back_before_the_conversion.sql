-- What happens after booking earns no credit; only the acquiring contact may be older than the look-back.
select
    touches.patient_id,
    touches.touch_id,
    touches.touched_at,
    journeys.converted_at
from {{ ref('journey_touches') }} as touches
inner join {{ ref('patient_journeys') }} as journeys
    on touches.patient_id = journeys.patient_id
where
    touches.touched_at > journeys.converted_at
    or (
        {{ elapsed_us('touches.touched_at', 'journeys.converted_at') }} > {{ days_us(var('lookback_days')) }}
        and touches.contact_id is distinct from journeys.acquiring_contact_id
    )
