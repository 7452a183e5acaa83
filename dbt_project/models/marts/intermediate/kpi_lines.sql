{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- The least-squares line through the last known months of each target. x is 0 in the latest of them and -1 in
-- the one before; every sum has its terms in that order, so that it does not depend on the order of rows.
with latest as (
    select
        target_no,
        max(month_no) as latest_no,
        min(value) as lowest
    from {{ ref('kpi_months') }}
    where
        is_known
        and is_whole
    group by target_no
),

points as (
    select
        latest.target_no,
        latest.latest_no,
        {%- for k in range(kpi_line_months()) %}
        max(case when months.month_no = latest.latest_no - {{ k }} then months.value end) as y_{{ k }},
        {%- endfor %}
        latest.lowest
    from latest
    inner join {{ ref('kpi_months') }} as months
        on latest.target_no = months.target_no
    where
        months.is_known
        and months.is_whole
    group by all
),

counted as (
    select
        *,
        {{ kpi_line_sum('case when y_# is not null then 1 else 0 end') }} as n
    from points
),

averaged as (
    select
        *,
        {{ kpi_line_sum('coalesce(y_#, 0)') }} / n as mean_y,
        cast({{ kpi_line_sum('case when y_# is not null then -# else 0 end') }} as double) / n as mean_x
    from counted
    where n >= {{ kpi_fewest_months() }}
),

squared as (
    select
        *,
        {{ kpi_line_sum('case when y_# is not null then pow(-# - mean_x, 2) else 0 end') }} as sxx,
        {{ kpi_line_sum('coalesce((-# - mean_x) * (y_# - mean_y), 0)') }} as sxy,
        {{ kpi_line_sum('coalesce(pow(y_# - mean_y, 2), 0)') }} as syy
    from averaged
)

select
    target_no,
    latest_no,
    lowest,
    n,
    mean_x,
    mean_y,
    sxx,
    sxy / sxx as slope,
    -- of a straight line nothing is left but noise of the arithmetic, which may fall below zero
    sqrt(greatest(syy - sxy * sxy / sxx, 0) / (n - 2)) as deviation
from squared
