-- Every session of record, its pages and seconds, and every unique call made from one stand in it once.
with expected as (
    select
        count(*) as sessions,
        coalesce(sum(pageviews), 0) as pageviews,
        coalesce(sum(duration_s), 0) as duration_s,
        (
            select count(*)
            from {{ ref('calls') }} as calls
            inner join {{ ref('contacts') }} as contacts
                on calls.contact_id = contacts.contact_id
            where
                calls.direction = 'inbound'
                and not coalesce(calls.is_internal, false)
                and contacts.is_unique
                and contacts.session_id is not null
        ) as unique_calls
    from {{ ref('web_sessions') }}
),

published as (
    select
        coalesce(sum(sessions), 0) as sessions,
        coalesce(sum(pageviews), 0) as pageviews,
        coalesce(sum(duration_s), 0) as duration_s,
        coalesce(sum(unique_calls), 0) as unique_calls
    from {{ ref('site_traffic') }}
)

select
    expected.sessions,
    published.sessions as published_sessions,
    expected.pageviews,
    published.pageviews as published_pageviews,
    expected.duration_s,
    published.duration_s as published_duration_s,
    expected.unique_calls,
    published.unique_calls as published_unique_calls
from expected
cross join published
where
    expected.sessions != published.sessions
    or expected.pageviews != published.pageviews
    or expected.duration_s != published.duration_s
    or expected.unique_calls != published.unique_calls
