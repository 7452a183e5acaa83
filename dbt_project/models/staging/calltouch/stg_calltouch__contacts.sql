-- A request that Calltouch called back is one contact with the calls of that callback: they share its number.
with callbacks as (
    select
        source_name,
        callback_ref,
        min(called_at) as first_called_at,
        min_by(phone_key, called_at) filter (where phone_key is not null) as phone_key
    from {{ source('calltouch', 'calls') }}
    where callback_ref is not null
    group by all
),

-- the callback's number is the request's, unless it is another sequence's: then the callers differ
named as (
    select
        requests.source_name,
        requests.request_id,
        callbacks.callback_ref
    from {{ source('calltouch', 'contacts') }} as requests
    inner join callbacks
        on
            requests.source_name = callbacks.source_name
            and requests.request_id = callbacks.callback_ref
    where
        requests.phone_key is null
        or callbacks.phone_key is null
        or requests.phone_key = callbacks.phone_key
),

-- else the same caller was called back at once; of two requests before it, the later was answered
followed as (
    select
        requests.source_name,
        requests.request_id,
        callbacks.callback_ref,
        callbacks.first_called_at
    from callbacks
    inner join {{ source('calltouch', 'contacts') }} as requests
        on
            callbacks.source_name = requests.source_name
            and callbacks.phone_key = requests.phone_key
            and {{ elapsed_us('requests.requested_at', 'callbacks.first_called_at') }}
            between 0 and {{ seconds_us(600) }}
    where
        not exists (
            select 1
            from named
            where
                named.source_name = callbacks.source_name
                and (named.callback_ref = callbacks.callback_ref or named.request_id = requests.request_id)
        )
    qualify row_number() over (
        partition by callbacks.source_name, callbacks.callback_ref
        order by requests.requested_at desc, requests.request_id asc
    ) = 1
),

answered as (
    select
        source_name,
        request_id,
        callback_ref
    from named

    union all

    select
        source_name,
        request_id,
        min_by(callback_ref, first_called_at) as callback_ref
    from followed
    group by all
)

select
    requests.source_name,
    'request-' || requests.request_id as contact_id,
    'form' as contact_kind,
    requests.requested_at as contacted_at,
    requests.phone_key,
    requests.email_key,
    requests.visitor_id,
    cast(null as varchar) as user_ref,
    -- sessionId is Calltouch's own; the web session is found by the visitor and the time
    cast(null as varchar) as session_ref,
    requests.manager as operator,
    cast(null as varchar) as branch,
    requests.status_raw,
    cast(null as boolean) as is_dialog,
    requests.is_target as is_valid,
    requests.phone_key is not null or requests.email_key is not null as is_contact_left,
    cast(null as boolean) as is_booked,
    cast(null as boolean) as is_missed,
    cast(null as varchar) as appointment_ref,
    cast(null as varchar) as contact_ref,
    answered.callback_ref,
    requests.source,
    requests.medium,
    requests.utm_source,
    requests.utm_medium,
    requests.utm_campaign,
    requests.campaign_id,
    requests.utm_content,
    coalesce(requests.utm_term, requests.keyword) as utm_term,
    requests.click_id_type,
    requests.click_id,
    requests.landing_path,
    requests.referrer_host
from {{ source('calltouch', 'contacts') }} as requests
left join answered
    on
        requests.source_name = answered.source_name
        and requests.request_id = answered.request_id
