-- One line per visit: what was done, without an amount.
select
    visits.source_name,
    '1' as line_id,
    visits.visit_id,
    encounters.service,
    visits.doctor,
    cast(null as decimal(18, 6)) as amount,
    cast(null as varchar) as currency,
    cast(null as varchar) as payer_type
from {{ ref('stg_fhir__visits') }} as visits
inner join {{ ref('stg_fhir__encounters') }} as encounters
    on
        visits.source_name = encounters.source_name
        and visits.visit_id = encounters.encounter_id
where encounters.service is not null
