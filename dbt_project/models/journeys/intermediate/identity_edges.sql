{{ config(schema='intermediate', materialized='table') }}

with shared_visitors as (
    {{ shared_ids('visitor_id') }}
),

contacts as (
    select
        contacts.phone_key,
        contacts.user_ref,
        case when shared_visitors.visitor_id is null then contacts.visitor_id end as visitor_id
    from {{ ref('contacts') }} as contacts
    left join shared_visitors
        on contacts.visitor_id = shared_visitors.visitor_id
),

signed_in as (
    select distinct
        visitor_id,
        user_ref
    from {{ ref('web_sessions') }}
    where
        visitor_id is not null
        and user_ref is not null
        and visitor_id not in (select shared_visitors.visitor_id from shared_visitors)
),

edges as (
    -- a node of its own is an edge to itself
    select
        'visitor:' || visitor_id as a,
        coalesce('phone:' || phone_key, 'visitor:' || visitor_id) as b
    from contacts
    where visitor_id is not null

    union

    select
        'phone:' || phone_key as a,
        'phone:' || phone_key as b
    from contacts
    where phone_key is not null

    union

    select
        'user:' || user_ref as a,
        coalesce('visitor:' || visitor_id, 'phone:' || phone_key, 'user:' || user_ref) as b
    from contacts
    where user_ref is not null

    union

    select
        'user:' || user_ref as a,
        'visitor:' || visitor_id as b
    from signed_in
)

select
    a,
    b
from edges
