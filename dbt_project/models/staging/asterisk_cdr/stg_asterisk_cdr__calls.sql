-- One row per call. Calls between the clinic's own phones are left out: nobody outside took part.
with directed as (
    select
        source_name,
        call_id,
        -- a leg of a Local channel says little of who called whom: it belongs to another leg
        case
            when bool_or(direction = 'inbound' and not is_local) then 'inbound'
            when bool_or(direction = 'outbound' and not is_local) then 'outbound'
            when bool_or(direction = 'inbound') then 'inbound'
            when bool_or(direction = 'outbound') then 'outbound'
        end as call_direction
    from {{ ref('stg_asterisk_cdr__legs') }}
    group by source_name, call_id
),

legs as (
    select
        legs.*,
        directed.call_direction,
        -- what colleagues say to each other before a call is handed on is no talk with the caller
        legs.direction = directed.call_direction as is_outside,
        -- where a phone was rung through a Local channel, that phone's own leg tells who answered; a Local
        -- channel is answered by a voicemail box too
        bool_or(legs.direction = directed.call_direction and legs.reached in ('device', 'voicemail'))
            over (partition by legs.source_name, legs.call_id) as has_phone_or_box
    from {{ ref('stg_asterisk_cdr__legs') }} as legs
    inner join directed
        on
            legs.source_name = directed.source_name
            and legs.call_id = directed.call_id
    where directed.call_direction is not null
),

judged as (
    select
        *,
        -- an answered line alone proves nothing: menus, queues and boxes answer too
        is_outside
        and disposition = 'ANSWERED'
        and case
            when call_direction = 'outbound' then reached not in ('voicemail', 'machine')
            else reached = 'device' or (reached = 'local' and not has_phone_or_box)
        end as is_talk,
        row_number() over (
            partition by source_name, call_id
            order by is_outside desc, is_local asc, started_at asc, leg_key asc
        ) as nth,
        row_number() over (
            partition by source_name, call_id
            order by is_outside desc, started_at desc, leg_key asc
        ) as nth_last
    from legs
),

calls as (
    select
        source_name,
        call_id,
        call_direction,
        coalesce(min(linked_at), min(created_at), min(started_at)) as called_at,
        min(started_at) as started_at,
        max(ended_at) filter (where is_outside) as ended_at,
        min(answered_at) filter (where is_talk) as answered_at,
        bool_or(is_talk) as is_answered,
        bool_or(reached = 'voicemail' and is_outside) as has_voicemail,
        sum(billsec_s) filter (where is_talk) as talk_s,
        min_by(phone_key, nth) filter (where phone_key is not null and is_outside) as phone_key,
        min_by(tracking_number, nth) filter (where tracking_number is not null) as tracking_number,
        min_by(agent, nth) filter (
            where agent is not null and (is_talk or (call_direction = 'outbound' and is_outside))
        ) as operator,
        min_by(disposition, nth_last) as last_disposition,
        min_by(uniqueid, nth) filter (where uniqueid is not null) as uniqueid,
        min_by(uniqueid, nth) filter (where has_recording and uniqueid is not null) as recording_ref
    from judged
    group by source_name, call_id, call_direction
)

select
    source_name,
    call_id,
    called_at,
    call_direction as direction,
    phone_key,
    tracking_number,
    cast(talk_s as bigint) as talk_s,
    -- until somebody answered, else until the caller gave up
    cast(
        greatest({{ elapsed_us('started_at', 'coalesce(answered_at, ended_at)') }} // {{ seconds_us(1) }}, 0)
        as bigint
    ) as wait_s,
    is_answered,
    has_voicemail and not is_answered as is_voicemail,
    case when is_answered then 'ANSWERED' else last_disposition end as status_raw,
    operator,
    cast(null as varchar) as branch,
    cast(null as varchar) as visitor_id,
    cast(null as varchar) as user_ref,
    cast(null as varchar) as session_ref,
    cast(null as varchar) as source,
    cast(null as varchar) as medium,
    cast(null as varchar) as utm_source,
    cast(null as varchar) as utm_medium,
    cast(null as varchar) as utm_campaign,
    cast(null as varchar) as campaign_id,
    cast(null as varchar) as utm_content,
    cast(null as varchar) as utm_term,
    cast(null as varchar) as click_id_type,
    cast(null as varchar) as click_id,
    cast(null as varchar) as landing_path,
    cast(null as varchar) as referrer_host,
    cast(null as boolean) as vendor_is_target,
    cast(null as varchar[]) as tags,
    recording_ref,
    -- call trackers keep the id of the channel on which they reached the exchange
    uniqueid as pbx_ref,
    cast(null as varchar) as callback_ref,
    true as is_pbx
from calls
