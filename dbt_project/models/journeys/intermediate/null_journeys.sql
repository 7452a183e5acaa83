{{ config(schema='intermediate', materialized='table') }}

-- contacts that an appointment names, or that name one, are its patient's whatever they carry
with booked as (
    select
        contacts.phone_key,
        contacts.visitor_id,
        contacts.user_ref
    from {{ ref('appointments') }} as appointments
    inner join {{ ref('contact_aliases') }} as names
        on appointments.contact_ref = names.contact_name
    inner join {{ ref('contacts') }} as contacts
        on names.contact_id = contacts.contact_id

    union

    select
        contacts.phone_key,
        contacts.visitor_id,
        contacts.user_ref
    from {{ ref('appointments') }} as appointments
    inner join {{ ref('contacts') }} as contacts
        on appointments.appointment_id = contacts.appointment_ref
),

patient_nodes as (
    select distinct 'phone:' || phone_key as node
    from {{ ref('patient_phones') }}

    union

    select distinct 'visitor:' || visitor_id as node
    from {{ ref('appointments') }}
    where visitor_id is not null

    union

    select distinct 'user:' || user_ref as node
    from {{ ref('appointments') }}
    where user_ref is not null

    union

    select distinct identity_kind || ':' || identity as node
    from {{ ref('patient_identities') }}

    union

    select distinct 'phone:' || phone_key as node
    from booked
    where phone_key is not null

    union

    select distinct 'visitor:' || visitor_id as node
    from booked
    where visitor_id is not null

    union

    select distinct 'user:' || user_ref as node
    from booked
    where user_ref is not null
),

patient_groups as (
    select distinct groups.group_id
    from {{ ref('identity_groups') }} as groups
    inner join patient_nodes
        on groups.node = patient_nodes.node
),

shared_visitors as (
    {{ shared_ids('visitor_id') }}
),

strangers as (
    select
        groups.node,
        groups.group_id
    from {{ ref('identity_groups') }} as groups
    left join patient_groups
        on groups.group_id = patient_groups.group_id
    where patient_groups.group_id is null
),

contacts as (
    select
        coalesce(by_phone.group_id, by_visitor.group_id, by_user.group_id) as journey_id,
        contacts.contact_id,
        contacts.contacted_at,
        contacts.session_id,
        contacts.channel
    from {{ ref('contacts') }} as contacts
    left join strangers as by_phone
        on 'phone:' || contacts.phone_key = by_phone.node
    left join strangers as by_visitor
        on 'visitor:' || contacts.visitor_id = by_visitor.node
    left join strangers as by_user
        on 'user:' || contacts.user_ref = by_user.node
    where coalesce(by_phone.group_id, by_visitor.group_id, by_user.group_id) is not null
),

known_visitors as (
    select substr(node, 9) as visitor_id
    from {{ ref('identity_groups') }}
    where starts_with(node, 'visitor:')

    union

    select visitor_id
    from shared_visitors

    union

    select substr(node, 9) as visitor_id
    from patient_nodes
    where starts_with(node, 'visitor:')
),

sessions as (
    select
        coalesce(strangers.group_id, 'visitor:' || sessions.visitor_id) as journey_id,
        sessions.session_id,
        sessions.started_at,
        sessions.channel
    from {{ ref('web_sessions') }} as sessions
    left join strangers
        on 'visitor:' || sessions.visitor_id = strangers.node
    left join known_visitors
        on sessions.visitor_id = known_visitors.visitor_id
    where
        sessions.visitor_id is not null
        and (strangers.group_id is not null or known_visitors.visitor_id is null)
),

-- a session and the contacts made from it are one touch; a contact's channel is already its session's unless
-- that says nothing
told as (
    select
        contacts.journey_id,
        sessions.session_id,
        case
            when sessions.session_id is not null then 'session:' || contacts.session_id
            else 'contact:' || contacts.contact_id
        end as touch_id,
        coalesce(sessions.started_at, contacts.contacted_at) as touched_at,
        coalesce(
            case
                when sessions.session_id is not null and contacts.channel in ('direct', 'unassigned')
                    then sessions.channel
                else contacts.channel
            end,
            'unassigned'
        ) as channel
    from contacts
    left join sessions
        on
            contacts.session_id = sessions.session_id
            and contacts.journey_id = sessions.journey_id
    qualify row_number() over (
        partition by contacts.journey_id, touch_id
        order by
            case when contacts.channel in ('direct', 'unassigned') then 1 else 0 end,
            contacts.contacted_at,
            contacts.contact_id
    ) = 1
),

-- most sessions have no contact: what is sorted above is the few that have
touches as (
    select
        sessions.journey_id,
        'session:' || sessions.session_id as touch_id,
        sessions.started_at as touched_at,
        coalesce(sessions.channel, 'unassigned') as channel
    from sessions
    where
        not exists (
            select 1 from told
            where
                told.session_id = sessions.session_id
                and told.journey_id = sessions.journey_id
        )

    union all

    select
        journey_id,
        touch_id,
        touched_at,
        channel
    from told
),

ended as (
    select
        journey_id,
        max(touched_at) as last_touch_at
    from touches
    group by journey_id
    having
        {{ clinic_date('max(touched_at)') }} + {{ var('lookback_days') }}
        <= (select as_of.as_of from {{ ref('as_of') }} as as_of)
)

select
    touches.journey_id,
    touches.touch_id,
    touches.touched_at,
    touches.channel
from touches
inner join ended
    on touches.journey_id = ended.journey_id
where {{ elapsed_us('touches.touched_at', 'ended.last_touch_at') }} <= {{ days_us(var('lookback_days')) }}
