-- Every inbound call that is not internal, and every session, stands in cost_per_call once.
with expected as (
    select
        (
            select count(*) from {{ ref('calls') }}
            where
                direction = 'inbound'
                and not coalesce(is_internal, false)
        ) as calls,
        (select count(*) from {{ ref('web_sessions') }}) as sessions
),

published as (
    select
        coalesce(sum(calls), 0) as calls,
        coalesce(sum(sessions), 0) as sessions
    from {{ ref('cost_per_call') }}
),

summary as (
    select coalesce(sum(calls), 0) as calls
    from {{ ref('monthly_summary') }}
)

select
    expected.calls,
    published.calls as published_calls,
    summary.calls as summary_calls,
    expected.sessions,
    published.sessions as published_sessions
from expected
cross join published
cross join summary
where
    expected.calls != published.calls
    or expected.calls != summary.calls
    or expected.sessions != published.sessions
