-- Rows that are the same contact as another: a lead that names a call or form, a row of one callback request.
with recursive folded_legs as (
    -- a lead may name the exchange's leg of a tracked call
    select
        folds.source_name,
        folds.call_id as vendor_id,
        folds.into_source_name || ':' || folds.into_call_id as contact_id
    from {{ ref('pbx_folds') }} as folds
),

names as (
    select
        candidates.contact_id as name,
        cast(null as varchar) as source_name,
        candidates.contact_id
    from {{ ref('contact_candidates') }} as candidates

    union all

    select
        candidates.vendor_id as name,
        candidates.source_name,
        candidates.contact_id
    from {{ ref('contact_candidates') }} as candidates

    union all

    select
        folded_legs.vendor_id as name,
        folded_legs.source_name,
        folded_legs.contact_id
    from folded_legs
    inner join {{ ref('contact_candidates') }} as candidates
        on folded_legs.contact_id = candidates.contact_id
),

referring as (
    select
        contact_id,
        source_name,
        contact_ref
    from {{ ref('contact_candidates') }}
    where contact_ref is not null
),

-- a full name is exact; a bare one is the source's own before another's
references_found as (
    select
        referring.contact_id as node,
        names.contact_id as next_node
    from referring
    inner join names
        on referring.contact_ref = names.name
    where referring.contact_id <> names.contact_id
    qualify row_number() over (
        partition by referring.contact_id
        order by
            names.source_name is null desc,
            names.source_name = referring.source_name desc,
            names.contact_id
    ) = 1
),

-- A request's number is its source's own; another source that carries the number and the caller means it too.
requests as (
    select
        contact_id,
        callback_ref,
        phone_key,
        contacted_at,
        first_value(contact_id) over (
            partition by source_name, callback_ref
            order by contacted_at, contact_id
        ) as first_of_source
    from {{ ref('contact_candidates') }}
    where callback_ref is not null
),

requests_found as (
    select
        contact_id as node,
        first_of_source as next_node
    from requests
    where contact_id <> first_of_source

    union all

    select
        contact_id as node,
        first_value(contact_id) over (
            partition by callback_ref, phone_key
            order by contacted_at, contact_id
        ) as next_node
    from requests
    where
        contact_id = first_of_source
        and phone_key is not null
),

edges as (
    select
        node,
        next_node
    from references_found

    union all

    select
        requests_found.node,
        requests_found.next_node
    from requests_found
    left join references_found
        on requests_found.node = references_found.node
    where
        requests_found.node <> requests_found.next_node
        and references_found.node is null
),

{{ resolve_chains('edges') }}

select
    node as contact_id,
    final_node as into_contact_id
from resolved
where node <> final_node
