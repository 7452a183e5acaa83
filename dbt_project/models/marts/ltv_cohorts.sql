-- Every member of a month's cohorts has reached what the last day of the month has. The first month is always
-- there, so that no patient and no cost is lost.
with months as (
    select
        costs.cohort_month,
        as_of.as_of - cast(last_day(costs.cohort_month) as date) as days_reached
    from (select distinct cohort_month from {{ ref('cohort_costs') }}) as costs
    cross join {{ ref('as_of') }} as as_of
),

months_since as (
    select
        cohort_month,
        month_since,
        coalesce(month_since * 30 <= days_reached, false) as is_reached
    from (
        select
            cohort_month,
            days_reached,
            unnest(range(1, greatest(coalesce(days_reached // 30, 1), 1) + 1)) as month_since
        from months
    ) as unnested
),

cumulated as (
    select
        months_since.cohort_month,
        months_since.month_since,
        costs.channel,
        costs.first_doctor,
        months_since.is_reached,
        costs.new_patients,
        costs.cost,
        coalesce(events.returning_patients, 0) as returning_patients,
        sum(coalesce(events.first_returns, 0)) over (
            partition by costs.cohort_month, costs.channel, costs.first_doctor
            order by months_since.month_since
        ) as returned_patients,
        sum(coalesce(events.revenue, 0)) over (
            partition by costs.cohort_month, costs.channel, costs.first_doctor
            order by months_since.month_since
        ) as cumulative_revenue
    from months_since
    inner join {{ ref('cohort_costs') }} as costs
        on months_since.cohort_month = costs.cohort_month
    left join {{ ref('cohort_events') }} as events
        on
            costs.cohort_month = events.cohort_month
            and costs.channel = events.channel
            and costs.first_doctor = events.first_doctor
            and months_since.month_since = events.month_since
),

conserved as (
    {{ to_the_cent(
        'cumulated',
        keys=['cohort_month', 'month_since', 'channel', 'first_doctor'],
        others=['is_reached', 'new_patients', 'cost', 'returning_patients', 'returned_patients'],
        measures=['cumulative_revenue'],
        within=['cohort_month', 'month_since'],
    ) }}
),

-- all doctors of a channel, all channels of a doctor, and the whole month
rolled_up as (
    select
        cohort_month,
        month_since,
        case when grouping(channel) = 1 then '(all)' else channel end as channel,
        case when grouping(first_doctor) = 1 then '(all)' else first_doctor end as first_doctor,
        is_reached,
        sum(new_patients) as new_patients,
        sum(cost) as cost,
        sum(case when is_reached then cumulative_revenue end) as cumulative_revenue,
        sum(case when is_reached then returning_patients end) as returning_patients,
        sum(case when is_reached then returned_patients end) as returned_patients
    from conserved
    group by grouping sets (
        (cohort_month, month_since, is_reached, channel, first_doctor),
        (cohort_month, month_since, is_reached, channel),
        (cohort_month, month_since, is_reached, first_doctor),
        (cohort_month, month_since, is_reached)
    )
)

select
    cohort_month,
    month_since,
    channel,
    first_doctor,
    {{ credit_count('new_patients') }} as new_patients,
    cast(cost as decimal(18, 2)) as cost,
    {{ money_ratio('cost', 'new_patients') }} as cost_per_patient,
    cast(cumulative_revenue as decimal(18, 2)) as cumulative_revenue,
    {{ money_ratio('cumulative_revenue', 'new_patients') }} as revenue_per_patient,
    {{ ratio('cumulative_revenue', 'cost') }} as revenue_to_cost,
    {{ credit_count('returning_patients') }} as returning_patients,
    {{ ratio('returning_patients', 'new_patients') }} as returning_share,
    {{ credit_count('returned_patients') }} as returned_patients,
    {{ ratio('returned_patients', 'new_patients') }} as returned_share,
    min(case when cost > 0 and cumulative_revenue >= cost then month_since end) over (
        partition by cohort_month, channel, first_doctor
    ) as payback_month
from rolled_up
