-- A contact may be named in full or by its vendor's id, and by a row that was folded into it. Of several
-- decisions on one contact the latest stands.
with overridden as (
    select
        names.contact_id,
        trim(decided.channel) as channel,
        nullif(trim(decided.{{ quoted('by') }}), '') as decided_by,
        decided.{{ quoted('on') }} as decided_on,
        nullif(trim(decided.reason), '') as reason
    from {{ ref('stg_reference__channel_overrides') }} as decided
    inner join {{ ref('contact_aliases') }} as names
        on trim(decided.id) = names.contact_name
    where lower(trim(decided.kind)) = 'contact'
    qualify row_number() over (
        partition by names.contact_id
        order by
            decided.{{ quoted('on') }} desc nulls last,
            trim(decided.channel),
            decided.{{ quoted('by') }},
            decided.reason
    ) = 1
),

-- a dedicated number's campaign may be one of ad_spend, whose channel then stands
dedicated as (
    select
        numbers.tracking_number_no,
        case
            when origins.campaign_matched_by is not null then origins.channel
            else coalesce(numbers.channel, origins.channel)
        end as channel,
        origins.source,
        origins.campaign,
        origins.campaign_id,
        origins.campaign_matched_by
    from {{ ref('tracking_number_rows') }} as numbers
    inner join {{ ref('origins') }} as origins
        on numbers.origin_key = origins.origin_key
),

owned as (
    select
        contacts.*,
        contact_sessions.session_id,
        coalesce(dedicated.channel, origins.channel) as own_channel,
        case
            when dedicated.channel is not null then dedicated.source
            else origins.source
        end as own_source,
        case
            when dedicated.channel is not null then dedicated.campaign
            else origins.campaign
        end as own_campaign,
        case
            when dedicated.channel is not null then dedicated.campaign_id
            else origins.campaign_id
        end as own_campaign_id,
        case
            when dedicated.channel is not null then dedicated.campaign_matched_by
            else origins.campaign_matched_by
        end as own_campaign_matched_by
    from {{ ref('contacts_folded') }} as contacts
    inner join {{ ref('origins') }} as origins
        on contacts.origin_key = origins.origin_key
    left join dedicated
        on contacts.tracking_number_no = dedicated.tracking_number_no
    left join {{ ref('contact_sessions') }} as contact_sessions
        on contacts.contact_id = contact_sessions.contact_id
),

-- a session that says nothing of where the person came from yields to what the contact knows itself
placed as (
    select
        owned.*,
        coalesce(sessions.channel not in ('direct', 'unassigned'), false)
        or (sessions.channel is not null and owned.own_channel in ('direct', 'unassigned')) as is_by_session,
        sessions.channel as session_channel,
        sessions.source as session_source,
        sessions.campaign as session_campaign,
        sessions.campaign_id as session_campaign_id,
        sessions.campaign_matched_by as session_campaign_matched_by
    from owned
    left join {{ ref('web_sessions') }} as sessions
        on owned.session_id = sessions.session_id
),

patients_of_phone as (
    select
        phones.phone_key,
        min(visits.visited_at) as first_visited_at
    from {{ ref('patient_phones') }} as phones
    inner join {{ ref('visits') }} as visits
        on phones.patient_id = visits.patient_id
    where
        phones.is_linking
        and visits.is_completed
    group by phones.phone_key
),

-- an answered call back, or the person coming through by another contact
reached as (
    select
        phone_key,
        called_at as reached_at
    from {{ ref('call_rows') }}
    where
        direction in ('callback', 'outbound')
        and is_answered
        and phone_key is not null

    union all

    select
        phone_key,
        contacted_at as reached_at
    from {{ ref('contacts_folded') }}
    where
        phone_key is not null
        and not coalesce(is_missed, false)
),

timeline as (
    select
        contact_id,
        phone_key,
        contacted_at,
        cast(null as timestamptz) as reached_at
    from {{ ref('contacts_folded') }}
    where
        is_missed
        and phone_key is not null

    union all

    select
        cast(null as varchar) as contact_id,
        phone_key,
        reached_at as contacted_at,
        reached_at
    from reached
),

next_reached as (
    select
        contact_id,
        contacted_at,
        -- at the same instant the reaching comes first in order, so that it is not later than the miss
        min(reached_at) over (
            partition by phone_key
            order by contacted_at, reached_at is null
            rows between current row and unbounded following
        ) as reached_at
    from timeline
),

recovered as (
    select
        contact_id,
        reached_at as recovered_at
    from next_reached
    where
        contact_id is not null
        and {{ elapsed_us('contacted_at', 'reached_at') }} <= {{ days_us(1) }}
),

ordered as (
    select
        contact_id,
        lag(contacted_at) over (partition by phone_key order by contacted_at, contact_id) as previous_at
    from {{ ref('contacts_folded') }}
    where phone_key is not null
)

select
    placed.contact_id,
    placed.source_name,
    placed.contact_kind,
    placed.contacted_at,
    placed.local_date,
    placed.phone_key,
    placed.email_key,
    placed.visitor_id,
    placed.user_ref,
    placed.session_ref,
    placed.session_id,
    placed.operator,
    placed.branch,
    placed.is_answered,
    placed.is_target,
    placed.talk_s,
    placed.is_dialog,
    placed.is_valid,
    placed.is_contact_left,
    placed.is_booked,
    placed.is_missed,
    recovered.recovered_at,
    -- a withheld number is nobody's, so nothing is known of its earlier contacts
    placed.phone_key is not null
    and ordered.previous_at is null
    and not coalesce(patients_of_phone.first_visited_at < placed.contacted_at, false) as is_first,
    placed.phone_key is not null
    and (
        ordered.previous_at is null
        or {{ elapsed_us('ordered.previous_at', 'placed.contacted_at') }} > {{ days_us(var('unique_days')) }}
    ) as is_unique,
    coalesce(patients_of_phone.first_visited_at < placed.contacted_at, false) as is_existing_patient,
    placed.appointment_ref,
    placed.contact_ref,
    placed.own_channel,
    placed.own_source,
    placed.own_campaign,
    coalesce(
        overridden.channel,
        case when placed.is_by_session then placed.session_channel else placed.own_channel end
    ) as channel,
    {%- for column, nothing in {
        'source': "'(none)'", 'campaign': "'(none)'", 'campaign_id': 'null', 'campaign_matched_by': 'null',
    }.items() %}
    case
        -- what was overridden is not of the campaign that it seemed to be
        when
            overridden.channel
            <> case when placed.is_by_session then placed.session_channel else placed.own_channel end
            then {{ nothing }}
        when placed.is_by_session then placed.session_{{ column }}
        else placed.own_{{ column }}
    end as {{ column }},
    {%- endfor %}
    overridden.channel is not null as is_channel_overridden,
    case
        when overridden.channel is null then null
        when placed.is_by_session then placed.session_channel
        else placed.own_channel
    end as channel_before_override,
    overridden.decided_by as override_by,
    overridden.decided_on as override_on,
    overridden.reason as override_reason
from placed
left join overridden
    on placed.contact_id = overridden.contact_id
left join patients_of_phone
    on placed.phone_key = patients_of_phone.phone_key
left join recovered
    on placed.contact_id = recovered.contact_id
left join ordered
    on placed.contact_id = ordered.contact_id
