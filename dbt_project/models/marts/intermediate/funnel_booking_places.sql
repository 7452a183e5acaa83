{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Day, channel, source and campaign of each booking: its contact's. A booking that no contact explains stands
-- on its own day, at the session it was made from, else at `unlinked`.
with alone as (
    select
        bookings.booking_id,
        bookings.new_patient_id,
        bookings.agreed_at,
        bookings.visitor_id,
        bookings.user_ref
    from {{ ref('funnel_bookings') }} as bookings
    inner join {{ ref('funnel_booking_contacts') }} as links
        on bookings.booking_id = links.booking_id
    where
        links.contact_id is null
        and not links.is_of_existing_patient
),

shared_visitors as (
    {{ shared_ids('visitor_id') }}
),

-- of a new patient's first visit the journey knows the sessions; another booking has those of its own ids
session_ids as (
    select
        alone.booking_id,
        sessions.session_id
    from alone
    inner join {{ ref('patient_sessions') }} as sessions
        on alone.new_patient_id = sessions.patient_id

    union

    select
        alone.booking_id,
        sessions.session_id
    from alone
    inner join {{ ref('web_sessions') }} as sessions
        on alone.visitor_id = sessions.visitor_id
    left join shared_visitors
        on alone.visitor_id = shared_visitors.visitor_id
    where
        alone.new_patient_id is null
        and shared_visitors.visitor_id is null

    union

    select
        alone.booking_id,
        sessions.session_id
    from alone
    inner join {{ ref('web_sessions') }} as sessions
        on alone.user_ref = sessions.user_ref
    where alone.new_patient_id is null
),

last_sessions as (
    select
        alone.booking_id,
        sessions.channel,
        sessions.source,
        sessions.campaign
    from session_ids
    inner join alone
        on session_ids.booking_id = alone.booking_id
    inner join {{ ref('web_sessions') }} as sessions
        on session_ids.session_id = sessions.session_id
    where
        {{ elapsed_us('sessions.started_at', 'alone.agreed_at') }}
        between 0 and {{ days_us(var('lookback_days')) }}
    qualify row_number() over (
        partition by alone.booking_id
        order by
            case when sessions.channel in ('direct', 'unassigned') then 1 else 0 end,
            sessions.started_at desc,
            sessions.session_id desc
    ) = 1
)

select
    bookings.booking_id,
    contacts.contact_id,
    coalesce(contacts.local_date, {{ clinic_date('bookings.agreed_at') }}) as day,
    coalesce(contacts.channel, last_sessions.channel, 'unlinked') as channel,
    case
        when contacts.contact_id is not null then coalesce(contacts.source, '(none)')
        else coalesce(last_sessions.source, '(none)')
    end as source,
    case
        when contacts.contact_id is not null then coalesce(contacts.campaign, '(none)')
        else coalesce(last_sessions.campaign, '(none)')
    end as campaign,
    bookings.is_due,
    bookings.is_kept,
    bookings.new_patients
from {{ ref('funnel_bookings') }} as bookings
inner join {{ ref('funnel_booking_contacts') }} as links
    on bookings.booking_id = links.booking_id
left join {{ ref('contacts') }} as contacts
    on links.contact_id = contacts.contact_id
left join alone
    on bookings.booking_id = alone.booking_id
left join last_sessions
    on bookings.booking_id = last_sessions.booking_id
where
    contacts.contact_id is not null
    -- nobody knows when it was made or is to take place
    or (alone.booking_id is not null and bookings.agreed_at is not null)
