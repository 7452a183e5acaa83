{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Where each target stands: its figure so far, what was to be expected by then, what the line through its
-- past leads to when due, and the pace still needed.
with targets as (
    select
        targets.*,
        as_of.as_of,
        {{ month_number('targets.starts_on') }} as start_no,
        {{ month_number('targets.due_on') }} as due_no
    from {{ ref('kpi_targets') }} as targets
    cross join {{ ref('as_of') }} as as_of
),

placed as (
    select
        targets.target_no,
        months.month_no,
        months.value,
        months.known_on,
        months.is_known,
        coalesce(targets.starts_on <= targets.as_of, true)
        and coalesce(targets.start_no <= months.month_no, true)
        and coalesce(months.month_no <= targets.due_no, true)
        -- a level of before the start is no progress
        and (targets.kind <> 'level' or coalesce(targets.starts_on <= months.known_on, true)) as is_within
    from targets
    inner join {{ ref('kpi_months') }} as months
        on targets.target_no = months.target_no
),

tallied as (
    select
        target_no,
        max(month_no) filter (where is_known) as latest_no,
        max_by(value, month_no) filter (where is_known) as latest_value,
        max_by(value, month_no) filter (where is_known and is_within) as last_value,
        max(known_on) filter (where is_known and is_within) as last_known_on,
        sum(cast(value as decimal(28, 9))) filter (where is_within) as sum_to_date,
        sum(cast(value as decimal(28, 9))) filter (where is_within and is_known) as sum_known
    from placed
    group by target_no
),

measured as (
    select
        targets.*,
        tallied.latest_value,
        coalesce(tallied.sum_known, 0) as sum_known,
        case
            when targets.is_total then cast(tallied.sum_to_date as double)
            else tallied.last_value
        end as actual,
        case
            when targets.is_total
                then
                    case
                        when tallied.sum_to_date is not null
                            then least(targets.as_of, cast(last_day(targets.due_on) as date))
                    end
            else tallied.last_known_on
        end as measured_on,
        -- of a total the months of its time that are not known yet, else the months from the latest figure on
        case
            when targets.due_no is null then null
            when targets.is_total
                then greatest(targets.due_no - greatest(tallied.latest_no, targets.start_no - 1), 0)
            when tallied.latest_no is not null then greatest(targets.due_no - tallied.latest_no, 0)
        end as months_left,
        case
            when targets.kind = 'level' then coalesce(targets.due_on <= targets.as_of, false)
            else coalesce(targets.due_no <= tallied.latest_no, false)
        end as is_final
    from targets
    left join tallied
        on targets.target_no = tallied.target_no
),

-- from the baseline on the first day to the target on the day due; a total from nothing, its months whole
expected as (
    select
        *,
        case
            when actual is null then null
            when is_total
                then
                    target
                    * {{ ratio(
                        'measured_on - ' ~ month_of('starts_on') ~ ' + 1',
                        'cast(last_day(due_on) as date) - ' ~ month_of('starts_on') ~ ' + 1'
                    ) }}
            -- nothing says how it is to come about
            when baseline is null or starts_on is null or due_on is null then target
            when due_on = starts_on then target
            else
                baseline
                + (target - baseline)
                * least(greatest({{ ratio('measured_on - starts_on', 'due_on - starts_on') }}, 0), 1)
        end as expected
    from measured
),

-- how many months the line is asked for, and the middle one of them, counted from the line's last
asked as (
    select
        expected.*,
        lines.lowest,
        lines.n,
        lines.deviation,
        lines.sxx,
        case when expected.is_total then expected.months_left else 1 end as k,
        case
            when expected.is_total then expected.due_no - (expected.months_left - 1) / 2.0
            else expected.due_no
        end - lines.latest_no - lines.mean_x as distance,
        lines.mean_y,
        lines.slope
    from expected
    left join {{ ref('kpi_lines') }} as lines
        on expected.target_no = lines.target_no
),

drawn as (
    select
        *,
        case when is_total then cast(sum_known as double) else 0 end
        + k * (mean_y + slope * distance) as point,
        {{ student_t_975('(n - 2)') }}
        * deviation
        * sqrt(k + pow(cast(k as double), 2) * (1.0 / n + pow(distance, 2) / sxx)) as half_width,
        case
            when lowest < 0 then null
            when is_total then coalesce(actual, 0)
            else 0
        end as floor_of_forecast,
        case when kind = 'share' then 1 end as ceiling_of_forecast
    from asked
)

-- to nine places: what arithmetic in doubles leaves behind must not decide whether a target is reached
select
    target_no,
    round(actual, 9) as actual,
    measured_on,
    round(expected, 9) as expected,
    case when defect is null then months_left end as months_left,
    is_final,
    round(
        case
            when is_final or months_left = 0 then actual
            else {{ within_bounds('point') }}
        end, 9
    ) as forecast,
    {%- for end, sign in [('low', '-'), ('high', '+')] %}
    round(
        case
            when not is_final and months_left > 0 then {{ within_bounds('point ' ~ sign ~ ' half_width') }}
        end, 9
    ) as forecast_{{ end }},
    {%- endfor %}
    round(
        case
            when is_final or defect is not null then null
            -- nothing more is needed of what is reached
            when is_total and not is_lower_better and sum_known >= target then 0
            when is_total then {{ ratio('target - cast(sum_known as double)', 'months_left') }}
            when kind = 'level' then {{ ratio('target - latest_value', 'months_left') }}
            else target
        end, 9
    ) as needed_pace
from drawn
