{{ config(schema='intermediate', materialized='table') }}

with direct as (
    select
        patient_direct_contacts.patient_id,
        contacts.visitor_id,
        contacts.user_ref
    from {{ ref('patient_direct_contacts') }} as patient_direct_contacts
    inner join {{ ref('contacts') }} as contacts
        on patient_direct_contacts.contact_id = contacts.contact_id

    union all

    select
        patient_id,
        visitor_id,
        user_ref
    from {{ ref('patient_bookings') }}
),

shared_visitors as (
    {{ shared_ids('visitor_id') }}
),

shared_users as (
    {{ shared_ids('user_ref') }}
),

-- the one pass over all sessions that finds who was signed in
signed_in as (
    select distinct
        sessions.visitor_id,
        sessions.user_ref
    from {{ ref('web_sessions') }} as sessions
    where
        sessions.visitor_id is not null
        and sessions.user_ref is not null
        and not exists (
            select 1 from shared_visitors
            where shared_visitors.visitor_id = sessions.visitor_id
        )
        and not exists (
            select 1 from shared_users
            where shared_users.user_ref = sessions.user_ref
        )
),

direct_visitors as (
    select distinct
        patient_id,
        visitor_id
    from direct
    where
        visitor_id is not null
        and not exists (
            select 1 from shared_visitors
            where shared_visitors.visitor_id = direct.visitor_id
        )
),

users as (
    select
        patient_id,
        user_ref
    from direct
    where
        user_ref is not null
        and not exists (
            select 1 from shared_users
            where shared_users.user_ref = direct.user_ref
        )

    union

    select
        direct_visitors.patient_id,
        signed_in.user_ref
    from direct_visitors
    inner join signed_in
        on direct_visitors.visitor_id = signed_in.visitor_id
),

-- one hop: the accounts of the visitors that this adds are not followed
visitors as (
    select
        patient_id,
        visitor_id
    from direct_visitors

    union

    select
        users.patient_id,
        signed_in.visitor_id
    from users
    inner join signed_in
        on users.user_ref = signed_in.user_ref
)

select
    patient_id,
    'visitor' as identity_kind,
    visitor_id as identity
from visitors

union all

select
    patient_id,
    'user' as identity_kind,
    user_ref as identity
from users
