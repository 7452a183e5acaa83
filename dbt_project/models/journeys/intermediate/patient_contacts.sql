{{ config(schema='intermediate', materialized='table') }}

with found as (
    select
        patient_id,
        contact_id,
        is_by_phone,
        is_booking_reference,
        false as is_by_visitor,
        false as is_by_user
    from {{ ref('patient_direct_contacts') }}

    union all

    select
        identities.patient_id,
        contacts.contact_id,
        false as is_by_phone,
        false as is_booking_reference,
        true as is_by_visitor,
        false as is_by_user
    from {{ ref('patient_identities') }} as identities
    inner join {{ ref('contacts') }} as contacts
        on identities.identity = contacts.visitor_id
    where identities.identity_kind = 'visitor'

    union all

    select
        identities.patient_id,
        contacts.contact_id,
        false as is_by_phone,
        false as is_booking_reference,
        false as is_by_visitor,
        true as is_by_user
    from {{ ref('patient_identities') }} as identities
    inner join {{ ref('contacts') }} as contacts
        on identities.identity = contacts.user_ref
    where identities.identity_kind = 'user'
),

merged as (
    select
        patient_id,
        contact_id,
        bool_or(is_by_phone) as is_by_phone,
        bool_or(is_booking_reference) as is_booking_reference,
        bool_or(is_by_visitor) as is_by_visitor,
        bool_or(is_by_user) as is_by_user
    from found
    group by all
)

select
    merged.patient_id,
    merged.contact_id,
    contacts.contacted_at,
    contacts.is_unique,
    contacts.session_id,
    merged.is_by_phone,
    merged.is_booking_reference,
    merged.is_by_visitor,
    merged.is_by_user
from merged
inner join {{ ref('contacts') }} as contacts
    on merged.contact_id = contacts.contact_id
