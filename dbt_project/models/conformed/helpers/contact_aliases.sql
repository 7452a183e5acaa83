{{ config(materialized='view') }}

-- every name by which a record may mention a contact, the names of rows folded into it included
with candidates as (
    select
        candidates.contact_id as full_name,
        candidates.vendor_id,
        candidates.source_name,
        coalesce(folds.into_contact_id, candidates.contact_id) as contact_id
    from {{ ref('contact_candidates') }} as candidates
    left join {{ ref('contact_folds') }} as folds
        on candidates.contact_id = folds.contact_id
),

-- the exchange's id of a tracked call
legs as (
    select
        folds.source_name || ':' || folds.call_id as full_name,
        folds.call_id as vendor_id,
        folds.source_name,
        candidates.contact_id
    from {{ ref('pbx_folds') }} as folds
    inner join candidates
        on folds.into_source_name || ':' || folds.into_call_id = candidates.full_name
),

named as (
    select * from candidates
    union all
    select * from legs
)

select
    named.full_name as contact_name,
    named.source_name,
    named.contact_id,
    true as is_full_name,
    contacts.contacted_at
from named
inner join {{ ref('contact_candidates') }} as contacts
    on named.contact_id = contacts.contact_id

union all

select
    named.vendor_id as contact_name,
    named.source_name,
    named.contact_id,
    false as is_full_name,
    contacts.contacted_at
from named
inner join {{ ref('contact_candidates') }} as contacts
    on named.contact_id = contacts.contact_id
