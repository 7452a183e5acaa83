with patients as (
    select
        patient_id,
        converted_at
    from {{ ref('patient_history') }}
    where is_new_patient
),

acquiring as (
    select
        patient_id,
        contact_id
    from {{ ref('link_evidence') }}
    where
        is_chosen
        and contact_id is not null
),

own_contacts as (
    select
        patient_contacts.patient_id,
        patient_contacts.contact_id,
        patient_contacts.contacted_at,
        patient_contacts.session_id,
        patients.converted_at,
        acquiring.contact_id is not null as is_acquiring
    from {{ ref('patient_contacts') }} as patient_contacts
    inner join patients
        on patient_contacts.patient_id = patients.patient_id
    left join acquiring
        on
            patient_contacts.patient_id = acquiring.patient_id
            and patient_contacts.contact_id = acquiring.contact_id
    where
        acquiring.contact_id is not null
        or (
            (patient_contacts.is_by_phone or patient_contacts.is_by_visitor)
            and patient_contacts.contacted_at <= patients.converted_at
        )
),

contact_sessions as (
    select
        session_id,
        started_at,
        channel,
        source,
        campaign
    from {{ ref('web_sessions') }}
    where session_id in (select own_contacts.session_id from own_contacts)
),

contact_touches as (
    select
        own_contacts.patient_id,
        own_contacts.contact_id,
        own_contacts.contacted_at,
        own_contacts.converted_at,
        own_contacts.is_acquiring,
        coalesce(contacts.is_channel_overridden, false) as is_overridden,
        contacts.channel as contact_channel,
        contacts.source as contact_source,
        contacts.campaign as contact_campaign,
        contacts.own_channel,
        contacts.own_source,
        contacts.own_campaign,
        contact_sessions.session_id,
        coalesce(contact_sessions.started_at, own_contacts.contacted_at) as happened_at,
        contact_sessions.channel as session_channel,
        contact_sessions.source as session_source,
        contact_sessions.campaign as session_campaign
    from own_contacts
    inner join {{ ref('contacts') }} as contacts
        on own_contacts.contact_id = contacts.contact_id
    left join contact_sessions
        on own_contacts.session_id = contact_sessions.session_id
),

session_touches as (
    select
        sessions.patient_id,
        cast(null as varchar) as contact_id,
        cast(null as timestamptz) as contacted_at,
        patients.converted_at,
        false as is_acquiring,
        false as is_overridden,
        cast(null as varchar) as contact_channel,
        cast(null as varchar) as contact_source,
        cast(null as varchar) as contact_campaign,
        cast(null as varchar) as own_channel,
        cast(null as varchar) as own_source,
        cast(null as varchar) as own_campaign,
        sessions.session_id,
        sessions.started_at as happened_at,
        sessions.channel as session_channel,
        sessions.source as session_source,
        sessions.campaign as session_campaign
    from {{ ref('patient_sessions') }} as sessions
    inner join patients
        on sessions.patient_id = patients.patient_id
),

-- a session and the contacts made from it are one touch
pieces as (
    select
        *,
        case
            when session_id is not null then concat('session:', session_id)
            else concat('contact:', contact_id)
        end as touch_id,
        row_number() over (
            partition by patient_id, coalesce(session_id, contact_id), session_id is null
            order by
                case when is_acquiring then 0 else 1 end,
                contacted_at nulls last,
                contact_id
        ) as piece
    from (
        select * from contact_touches
        union all
        select * from session_touches
    ) as all_pieces
),

-- What a contact knows of the origin: a channel decided by hand comes before everything, a channel of its own
-- before a session that is direct or unassigned.
told as (
    select
        patient_id,
        touch_id,
        is_overridden,
        case when is_overridden then contact_channel else own_channel end as channel,
        case when is_overridden then contact_source else own_source end as source,
        case when is_overridden then contact_campaign else own_campaign end as campaign
    from pieces
    where
        is_overridden
        or own_channel not in ('direct', 'unassigned')
    qualify row_number() over (
        partition by patient_id, touch_id
        order by case when is_overridden then 0 else 1 end, contacted_at, contact_id
    ) = 1
),

touches as (
    select
        pieces.patient_id,
        pieces.touch_id,
        pieces.happened_at,
        pieces.converted_at,
        pieces.is_acquiring,
        pieces.contact_id,
        pieces.session_id,
        case
            when told.is_overridden then 'told'
            when pieces.session_channel not in ('direct', 'unassigned') then 'session'
            when pieces.session_id is not null and told.touch_id is not null then 'told'
            when pieces.contact_id is not null then 'contact'
            else 'session'
        end as origin,
        told.is_overridden,
        pieces.contact_channel,
        pieces.contact_source,
        pieces.contact_campaign,
        told.channel as told_channel,
        told.source as told_source,
        told.campaign as told_campaign,
        pieces.session_channel,
        pieces.session_source,
        pieces.session_campaign
    from pieces
    left join told
        on
            pieces.patient_id = told.patient_id
            and pieces.touch_id = told.touch_id
    where
        pieces.piece = 1
        and (
            pieces.is_acquiring
            or {{ elapsed_us('pieces.happened_at', 'pieces.converted_at') }}
            between 0 and {{ days_us(var('lookback_days')) }}
        )
)

select
    patient_id,
    touch_id,
    -- the acquiring contact may lie after the booking: it is dated at it
    case when happened_at > converted_at then converted_at else happened_at end as touched_at,
    case
        when contact_id is null then 'session'
        when session_id is null then 'contact'
        else 'contact_in_session'
    end as touch_kind,
    contact_id,
    session_id,
    case
        when origin = 'told' and is_overridden then 'override'
        -- a contact that tells nothing has the channel of its session, direct or unassigned as it is
        when origin = 'session' or (origin = 'contact' and session_id is not null) then 'session'
        else 'contact'
    end as channel_from,
    coalesce(
        case origin
            when 'session' then session_channel
            when 'told' then told_channel
            else contact_channel
        end,
        'unassigned'
    ) as channel,
    coalesce(
        case origin
            when 'session' then session_source
            when 'told' then told_source
            else contact_source
        end,
        '(none)'
    ) as source,
    coalesce(
        case origin
            when 'session' then session_campaign
            when 'told' then told_campaign
            else contact_campaign
        end,
        '(none)'
    ) as campaign
from touches
