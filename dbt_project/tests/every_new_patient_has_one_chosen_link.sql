-- The rule and contact that link_evidence chose are those of the journey; unlinked patients have a row too.
with chosen as (
    select
        patient_id,
        rule,
        contact_id
    from {{ ref('link_evidence') }}
    where is_chosen
)

select
    coalesce(journeys.patient_id, chosen.patient_id) as patient_id,
    min(journeys.acquiring_rule) as journey_rule,
    min(chosen.rule) as chosen_rule,
    count(chosen.patient_id) as chosen_rows
from {{ ref('patient_journeys') }} as journeys
full join chosen
    on journeys.patient_id = chosen.patient_id
group by coalesce(journeys.patient_id, chosen.patient_id)
having
    count(chosen.patient_id) != 1
    or count(journeys.patient_id) != 1
    or min(journeys.acquiring_rule) is distinct from min(chosen.rule)
    or min(journeys.acquiring_contact_id) is distinct from min(chosen.contact_id)
