with unique_calls as (
    select
        contacts.session_id,
        count(*) as unique_calls
    from {{ ref('calls') }} as calls
    inner join {{ ref('contacts') }} as contacts
        on calls.contact_id = contacts.contact_id
    where
        calls.direction = 'inbound'
        and not coalesce(calls.is_internal, false)
        and contacts.is_unique
        and contacts.session_id is not null
    group by contacts.session_id
),

traffic as (
    select
        {{ month_of('sessions.local_date') }} as month,
        coalesce(sessions.channel, 'unassigned') as channel,
        coalesce(nullif(trim(sessions.region), ''), '(unknown)') as region,
        coalesce(sessions.device, '(unknown)') as device,
        coalesce(nullif(trim(sessions.landing_path), ''), '(unknown)') as landing_page,
        -- a session whose visitor nobody knows is a visitor of its own
        count(distinct coalesce(sessions.visitor_id, sessions.session_id)) as unique_visitors,
        count(*) as sessions,
        coalesce(sum(sessions.pageviews), 0) as pageviews,
        count(*) filter (where sessions.is_bounce) as bounces,
        count(sessions.is_bounce) as judged_sessions,
        coalesce(sum(sessions.duration_s), 0) as duration_s,
        count(sessions.duration_s) as timed_sessions,
        coalesce(sum(unique_calls.unique_calls), 0) as unique_calls
    from {{ ref('web_sessions') }} as sessions
    left join unique_calls
        on sessions.session_id = unique_calls.session_id
    group by all
)

select
    month,
    channel,
    region,
    device,
    landing_page,
    unique_visitors,
    sessions,
    cast(pageviews as bigint) as pageviews,
    bounces,
    {{ ratio('bounces', 'judged_sessions') }} as bounce_rate,
    cast(duration_s as bigint) as duration_s,
    {{ ratio('duration_s', 'timed_sessions') }} as avg_duration_s,
    cast(unique_calls as bigint) as unique_calls,
    {{ ratio('unique_calls', 'unique_visitors') }} as visitor_call_rate
from traffic
