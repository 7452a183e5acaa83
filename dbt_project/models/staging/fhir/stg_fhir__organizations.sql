select
    source_name,
    organization_id,
    identifiers,
    name,
    part_of_id,
    part_of_identifier
from {{ source('fhir', 'organizations') }}
where not coalesce(is_deleted, false)
