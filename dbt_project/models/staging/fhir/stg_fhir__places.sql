-- Branch and room behind every way of naming a place: a room's branch is its site.
select
    keys.source_name,
    keys.reference_key,
    case when places.is_room then sites.name else places.name end as branch,
    case when places.is_room then places.name end as room
from {{ ref('stg_fhir__references') }} as keys
inner join {{ ref('stg_fhir__locations') }} as places
    on
        keys.source_name = places.source_name
        and keys.resource_id = places.location_id
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
where keys.resource = 'location'
