select
    source_name,
    location_id,
    identifiers,
    name,
    is_room,
    part_of_id,
    part_of_identifier,
    organization_id,
    organization_identifier
from {{ source('fhir', 'locations') }}
where not coalesce(is_deleted, false)
