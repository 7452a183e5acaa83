-- A doctor or place that no resource of the export describes keeps the display text of the reference.
with places as (
    select
        places.source_name,
        places.location_id,
        places.name,
        places.is_room,
        sites.name as site_name
    from {{ ref('stg_fhir__locations') }} as places
    left join {{ ref('stg_fhir__references') }} as site_keys
        on
            site_keys.resource = 'location'
            and places.source_name = site_keys.source_name
            and coalesce('id:' || places.part_of_id, 'identifier:' || places.part_of_identifier)
            = site_keys.reference_key
    left join {{ ref('stg_fhir__locations') }} as sites
        on
            site_keys.source_name = sites.source_name
            and site_keys.resource_id = sites.location_id
)

select
    encounters.source_name,
    encounters.encounter_id as visit_id,
    encounters.appointment_id,
    encounters.patient_id,
    encounters.period_start as visited_at,
    case
        when places.is_room then coalesce(places.site_name, organizations.name, encounters.organization_name)
        else coalesce(
            places.name, encounters.location_name, organizations.name, encounters.organization_name
        )
    end as branch,
    case when places.is_room then places.name end as room,
    coalesce(practitioners.name, encounters.practitioner_name) as doctor,
    case
        when encounters.class_code in ('IMP', 'ACUTE', 'NONAC', 'SS', 'OBSENC') then 'inpatient'
        when encounters.class_code in ('AMB', 'VR', 'HH', 'EMER', 'FLD') then 'outpatient'
    end as care_setting,
    encounters.diagnosis,
    -- Only a finished encounter took place. FHIR does not say who cancelled; an encounter, unlike an
    -- appointment, is the clinic's own record.
    case
        when encounters.status in ('finished', 'completed') then 'completed'
        when encounters.status = 'planned' then 'booked'
        when encounters.status in ('arrived', 'triaged') then 'arrived'
        when encounters.status in ('in-progress', 'onleave', 'on-hold', 'discharged') then 'in_progress'
        when encounters.status in ('cancelled', 'discontinued') then 'cancelled_by_clinic'
        when encounters.status = 'entered-in-error' then 'entered_in_error'
        else 'unknown'
    end as status,
    encounters.status as status_raw,
    -- R4 encounters have no money
    cast(null as decimal(18, 6)) as billed,
    cast(null as decimal(18, 6)) as discount,
    cast(null as varchar) as currency,
    cast(null as boolean) as clinic_says_primary
from {{ ref('stg_fhir__encounters') }} as encounters
left join {{ ref('stg_fhir__practitioners') }} as practitioners
    on
        encounters.source_name = practitioners.source_name
        and encounters.practitioner_id = practitioners.practitioner_id
left join places
    on
        encounters.source_name = places.source_name
        and encounters.location_id = places.location_id
left join {{ ref('stg_fhir__organizations') }} as organizations
    on
        encounters.source_name = organizations.source_name
        and encounters.organization_id = organizations.organization_id
-- a planned encounter may have no time yet
where encounters.period_start is not null
