select
    source_name,
    role_id,
    identifiers,
    practitioner_id,
    practitioner_identifier,
    practitioner_name,
    organization_id,
    organization_identifier,
    specialty,
    is_active
from {{ source('fhir', 'practitioner_roles') }}
where not coalesce(is_deleted, false)
