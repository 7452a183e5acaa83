-- the session that a contact was made from: the one it names, else its visitor's latest of 24 hours before
with named as (
    select
        contacts.contact_id,
        sessions.session_id,
        sessions.started_at,
        1 as precedence
    from {{ ref('contacts_folded') }} as contacts
    inner join {{ ref('web_sessions') }} as sessions
        on contacts.session_ref = sessions.session_ref
    -- another system may number its sessions alike
    where
        contacts.visitor_id is null
        or sessions.visitor_id is null
        or contacts.visitor_id = sessions.visitor_id
        or split_part(contacts.visitor_id, ':', 1) <> split_part(sessions.visitor_id, ':', 1)
),

visited as (
    select
        contacts.contact_id,
        sessions.session_id,
        sessions.started_at,
        2 as precedence
    from {{ ref('contacts_folded') }} as contacts
    inner join {{ ref('web_sessions') }} as sessions
        on contacts.visitor_id = sessions.visitor_id
    where {{ elapsed_us('sessions.started_at', 'contacts.contacted_at') }} between 0 and {{ days_us(1) }}
),

found as (
    select * from named
    union all
    select * from visited
)

select
    contact_id,
    session_id
from found
qualify row_number() over (
    partition by contact_id
    order by precedence asc, started_at desc, session_id asc
) = 1
