-- The name behind every way of naming a member of staff, directly or by way of a role.
select
    keys.source_name,
    keys.resource,
    keys.reference_key,
    practitioners.name as doctor
from {{ ref('stg_fhir__references') }} as keys
inner join {{ ref('stg_fhir__practitioners') }} as practitioners
    on
        keys.source_name = practitioners.source_name
        and keys.resource_id = practitioners.practitioner_id
where keys.resource = 'practitioner'

union all

select
    keys.source_name,
    keys.resource,
    keys.reference_key,
    coalesce(practitioners.name, roles.practitioner_name) as doctor
from {{ ref('stg_fhir__references') }} as keys
inner join {{ ref('stg_fhir__practitioner_roles') }} as roles
    on
        keys.source_name = roles.source_name
        and keys.resource_id = roles.role_id
left join {{ ref('stg_fhir__references') }} as staff
    on
        staff.resource = 'practitioner'
        and roles.source_name = staff.source_name
        and coalesce('id:' || roles.practitioner_id, 'identifier:' || roles.practitioner_identifier)
        = staff.reference_key
left join {{ ref('stg_fhir__practitioners') }} as practitioners
    on
        staff.source_name = practitioners.source_name
        and staff.resource_id = practitioners.practitioner_id
where keys.resource = 'practitioner_role'
