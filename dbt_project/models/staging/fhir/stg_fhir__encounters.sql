-- References resolved: literal ids, conditional references and identifier objects alike.
with encounters as (
    select
        *,
        coalesce('id:' || practitioner_id, 'identifier:' || practitioner_identifier) as practitioner_key,
        coalesce('id:' || practitioner_role_id, 'identifier:' || practitioner_role_identifier) as role_key,
        coalesce('id:' || location_id, 'identifier:' || location_identifier) as location_key,
        coalesce('id:' || organization_id, 'identifier:' || organization_identifier) as organization_key
    from {{ source('fhir', 'encounters') }}
    where not coalesce(is_deleted, false)
),

roles as (
    select
        roles.source_name,
        roles.role_id,
        coalesce(staff.resource_id, roles.practitioner_id) as practitioner_id,
        roles.practitioner_name
    from {{ ref('stg_fhir__practitioner_roles') }} as roles
    left join {{ ref('stg_fhir__references') }} as staff
        on
            staff.resource = 'practitioner'
            and roles.source_name = staff.source_name
            and coalesce('id:' || roles.practitioner_id, 'identifier:' || roles.practitioner_identifier)
            = staff.reference_key
)

select
    encounters.source_name,
    encounters.encounter_id,
    encounters.status,
    encounters.class_code,
    encounters.period_start,
    encounters.period_end,
    encounters.patient_id,
    encounters.appointment_id,
    coalesce(staff.resource_id, encounters.practitioner_id, roles.practitioner_id) as practitioner_id,
    coalesce(encounters.practitioner_name, roles.practitioner_name) as practitioner_name,
    coalesce(places.resource_id, encounters.location_id) as location_id,
    encounters.location_name,
    coalesce(owners.resource_id, encounters.organization_id) as organization_id,
    encounters.organization_name,
    encounters.service,
    encounters.diagnosis
from encounters
left join {{ ref('stg_fhir__references') }} as staff
    on
        staff.resource = 'practitioner'
        and encounters.source_name = staff.source_name
        and encounters.practitioner_key = staff.reference_key
left join {{ ref('stg_fhir__references') }} as role_keys
    on
        role_keys.resource = 'practitioner_role'
        and encounters.source_name = role_keys.source_name
        and encounters.role_key = role_keys.reference_key
left join roles
    on
        role_keys.source_name = roles.source_name
        and role_keys.resource_id = roles.role_id
left join {{ ref('stg_fhir__references') }} as places
    on
        places.resource = 'location'
        and encounters.source_name = places.source_name
        and encounters.location_key = places.reference_key
left join {{ ref('stg_fhir__references') }} as owners
    on
        owners.resource = 'organization'
        and encounters.source_name = owners.source_name
        and encounters.organization_key = owners.reference_key
