with standings as (
    select
        targets.target_no,
        targets.metric,
        targets.scope,
        targets.scope_value,
        targets.horizon,
        targets.owner,
        targets.starts_on,
        targets.due_on,
        targets.baseline,
        targets.value,
        targets.is_relative,
        round(targets.target, 9) as target,
        targets.mart,
        targets.measure,
        targets.kind,
        targets.is_total,
        targets.unit,
        targets.is_lower_better,
        targets.defect,
        targets.days_to_know,
        standings.measured_on,
        standings.actual,
        standings.expected,
        standings.forecast,
        standings.forecast_low,
        standings.forecast_high,
        standings.needed_pace,
        standings.months_left,
        standings.is_final
    from {{ ref('kpi_targets') }} as targets
    left join {{ ref('kpi_standings') }} as standings
        on targets.target_no = standings.target_no
),

-- the pace of each month: its figure; of a level how much it rose since it was last known, by months
paces as (
    select
        standings.target_no,
        months.month_no,
        case
            when standings.kind = 'level'
                then (
                    months.value
                    - lag(months.value) over (partition by standings.target_no order by months.month_no)
                ) / (
                    months.month_no
                    - lag(months.month_no) over (partition by standings.target_no order by months.month_no)
                )
            else months.value
        end as pace,
        max(months.month_no) over (partition by standings.target_no) as latest_no,
        standings.needed_pace,
        standings.is_lower_better
    from standings
    inner join {{ ref('kpi_months') }} as months
        on standings.target_no = months.target_no
    where
        months.is_known
        and months.is_whole
),

past as (
    select
        target_no,
        count(*) as months,
        percentile_cont(0.25) within group (order by pace) as lower_quartile,
        percentile_cont(0.5) within group (order by pace) as median,
        percentile_cont(0.75) within group (order by pace) as upper_quartile,
        count(*) filter (
            where case when is_lower_better then pace <= needed_pace else pace >= needed_pace end
        ) as months_at_pace
    from paces
    where
        pace is not null
        and latest_no - month_no < {{ kpi_past_months() }}
    group by target_no
),

compared as (
    select
        standings.*,
        coalesce(past.months, 0) as past_months,
        past.lower_quartile,
        past.median,
        past.upper_quartile,
        case
            when past.months >= {{ kpi_fewest_months() }} and standings.needed_pace is not null
                then past.months_at_pace
        end as months_at_pace,
        case
            when standings.is_lower_better then standings.actual <= standings.target
            else standings.actual >= standings.target
        end as is_met,
        case
            when standings.is_lower_better then standings.actual <= standings.expected
            else standings.actual >= standings.expected
        end as is_as_expected,
        -- what accumulates cannot fall again
        standings.is_total and standings.is_lower_better as is_budget,
        coalesce(
            standings.starts_on > as_of.as_of
            or (
                standings.actual is null
                and cast(last_day(standings.starts_on) as date)
                + case when standings.kind = 'level' then 0 else standings.days_to_know end > as_of.as_of
            ),
            false
        ) as is_waiting
    from standings
    cross join {{ ref('as_of') }} as as_of
    left join past
        on standings.target_no = past.target_no
)

select
    target_no,
    metric,
    scope,
    scope_value,
    horizon,
    owner,
    starts_on,
    due_on,
    baseline,
    value,
    is_relative,
    target,
    mart,
    measure,
    case when is_total then 'total' else kind end as measured_as,
    case when unit = 'money' then '{{ var("currency") }}' else unit end as unit,
    case when is_lower_better then 'down' else 'up' end as better,
    measured_on,
    actual,
    case
        when is_lower_better and not is_total then {{ ratio('target', 'actual') }}
        else {{ ratio('actual', 'target') }}
    end as attainment,
    case when not is_total then {{ ratio('actual - baseline', 'target - baseline') }} end as progress,
    expected,
    forecast,
    forecast_low,
    forecast_high,
    months_left,
    needed_pace,
    past_months,
    lower_quartile as past_lower_quartile,
    median as past_median,
    upper_quartile as past_upper_quartile,
    {{ ratio('months_at_pace', 'past_months') }} as past_share_at_pace,
    case
        when 2 * months_at_pace >= past_months then 'usual'
        when months_at_pace > 0 then 'seldom'
        when months_at_pace = 0 then 'never'
    end as achievability,
    case
        when defect is not null then defect
        when is_waiting then 'waiting'
        when actual is null then 'no_data'
        when is_budget and not is_met then 'missed'
        when is_budget and not is_final then case when is_as_expected then 'on_track' else 'behind' end
        when is_met then 'reached'
        when is_final then 'missed'
        when is_as_expected then 'on_track'
        else 'behind'
    end as status
from compared
