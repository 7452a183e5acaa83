with calls as (
    select
        {{ month_of('calls.local_date') }} as month,
        coalesce(calls.channel, 'unassigned') as channel,
        coalesce(calls.source, '(none)') as source,
        coalesce(calls.campaign, '(none)') as campaign,
        count(*) as calls,
        count(*) filter (where contacts.is_unique) as unique_calls,
        count(*) filter (where contacts.is_first) as first_time_calls,
        count(*) filter (where calls.is_answered) as answered_calls,
        count(*) filter (where contacts.is_missed) as missed_calls,
        count(*) filter (where calls.is_target) as target_calls
    from {{ ref('calls') }} as calls
    left join {{ ref('contacts') }} as contacts
        on calls.contact_id = contacts.contact_id
    where
        calls.direction = 'inbound'
        and not coalesce(calls.is_internal, false)
    group by all
),

combined as (
    select
        month,
        channel,
        source,
        campaign,
        coalesce(costs.cost, 0) as cost,
        coalesce(costs.impressions, 0) as impressions,
        coalesce(costs.clicks, 0) as clicks,
        coalesce(sessions.sessions, 0) as sessions,
        coalesce(calls.calls, 0) as calls,
        coalesce(calls.unique_calls, 0) as unique_calls,
        coalesce(calls.first_time_calls, 0) as first_time_calls,
        coalesce(calls.answered_calls, 0) as answered_calls,
        coalesce(calls.missed_calls, 0) as missed_calls,
        coalesce(calls.target_calls, 0) as target_calls
    from {{ ref('monthly_costs') }} as costs
    full join {{ ref('monthly_sessions') }} as sessions using (month, channel, source, campaign)
    full join calls using (month, channel, source, campaign)
)

select
    combined.month,
    combined.channel,
    combined.source,
    combined.campaign,
    coalesce(campaign_map.branch, '(shared)') as branch,
    coalesce(campaign_map.service_line, '(shared)') as service_line,
    cast(combined.cost as decimal(18, 2)) as cost,
    cast(combined.impressions as bigint) as impressions,
    cast(combined.clicks as bigint) as clicks,
    combined.sessions,
    combined.calls,
    combined.unique_calls,
    combined.first_time_calls,
    combined.answered_calls,
    combined.missed_calls,
    combined.target_calls,
    {{ money_ratio('combined.cost', 'combined.calls') }} as cost_per_call,
    {{ money_ratio('combined.cost', 'combined.unique_calls') }} as cost_per_unique_call,
    {{ money_ratio('combined.cost', 'combined.first_time_calls') }} as cost_per_first_time_call,
    {{ money_ratio('combined.cost', 'combined.target_calls') }} as cost_per_target_call
from combined
left join {{ ref('campaign_map') }} as campaign_map
    on combined.campaign = campaign_map.campaign
