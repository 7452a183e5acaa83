select
    source_name,
    practitioner_id,
    identifiers,
    name,
    is_active
from {{ source('fhir', 'practitioners') }}
where not coalesce(is_deleted, false)
