-- Every way in which a reference may name staff, places and organizations: `reference_key` is an id, a
-- `system|value`, or a value whose system the reference leaves out. A key that two resources share names the
-- one with the smaller id, so that a join on it never multiplies rows.
with resources as (
    select
        'practitioner' as resource,
        source_name,
        practitioner_id as resource_id,
        identifiers
    from {{ ref('stg_fhir__practitioners') }}

    union all

    select
        'practitioner_role' as resource,
        source_name,
        role_id as resource_id,
        identifiers
    from {{ ref('stg_fhir__practitioner_roles') }}

    union all

    select
        'organization' as resource,
        source_name,
        organization_id as resource_id,
        identifiers
    from {{ ref('stg_fhir__organizations') }}

    union all

    select
        'location' as resource,
        source_name,
        location_id as resource_id,
        identifiers
    from {{ ref('stg_fhir__locations') }}
),

identifiers as (
    select
        resource,
        source_name,
        resource_id,
        unnest(identifiers) as identifier
    from resources
),

keys as (
    select
        resource,
        source_name,
        resource_id,
        concat('id:', resource_id) as reference_key
    from resources

    union all

    select
        resource,
        source_name,
        resource_id,
        concat('identifier:', identifier) as reference_key
    from identifiers

    union all

    select
        resource,
        source_name,
        resource_id,
        concat('identifier:', substring(identifier, strpos(identifier, '|') + 1)) as reference_key
    from identifiers
)

select
    resource,
    source_name,
    reference_key,
    min(resource_id) as resource_id
from keys
group by resource, source_name, reference_key
