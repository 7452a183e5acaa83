-- A visit's charges; one line without an amount, what was done, for a visit that has none.
select
    charges.source_name,
    charges.charge_item_id as line_id,
    charges.encounter_id as visit_id,
    coalesce(charges.service, encounters.service) as service,
    coalesce(charges.doctor, visits.doctor) as doctor,
    charges.amount,
    charges.currency,
    cast(null as varchar) as payer_type
from {{ ref('stg_fhir__charges') }} as charges
inner join {{ ref('stg_fhir__visits') }} as visits
    on
        charges.source_name = visits.source_name
        and charges.encounter_id = visits.visit_id
inner join {{ ref('stg_fhir__encounters') }} as encounters
    on
        visits.source_name = encounters.source_name
        and visits.visit_id = encounters.encounter_id
where charges.is_billed

union all

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
where
    encounters.service is not null
    and not exists (
        select 1
        from {{ ref('stg_fhir__charges') }} as charges
        where
            charges.is_billed
            and charges.source_name = visits.source_name
            and charges.encounter_id = visits.visit_id
    )
