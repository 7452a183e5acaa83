{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Every target once, with the measure that it means.
with lines as (
    select distinct
        trim(metric) as metric,
        {{ kpi_scope('scope', 'scope_value') }} as scope,
        nullif(trim(scope_value), '') as scope_value,
        baseline,
        value,
        coalesce(is_relative, false) as is_relative,
        starts_on,
        due_on,
        nullif(trim(owner), '') as owner,
        nullif(lower(trim(horizon)), '') as horizon
    from {{ ref('stg_reference__targets') }}
),

read as (
    select
        *,
        lower(metric) like 'total:%' as is_total,
        case
            when lower(metric) like 'total:%' then trim(substr(lower(metric), 7))
            else lower(metric)
        end as name
    from lines
),

numbered as (
    select
        row_number() over (
            order by
                metric,
                scope,
                scope_value nulls first,
                starts_on nulls first,
                due_on nulls first,
                horizon nulls first,
                owner nulls first,
                baseline nulls first,
                value,
                is_relative
        ) as target_no,
        metric,
        scope,
        scope_value,
        baseline,
        value,
        is_relative,
        case when is_relative then baseline * (1 + value) else value end as target,
        starts_on,
        due_on,
        owner,
        horizon,
        is_total,
        name,
        case when name like '%.%' then split_part(name, '.', 1) end as named_mart,
        case when name like '%.%' then split_part(name, '.', 2) else name end as named_measure
    from read
),

observed as (
    select distinct
        {{ kpi_name('metric') }} as metric,
        {{ kpi_scope('scope', 'scope_value') }} as scope
    from {{ ref('metric_observations') }}
),

-- what each name may mean, the meanings with the target's own scope first, marts before observations
meanings as (
    select
        numbered.target_no,
        measures.table_no,
        measures.mart,
        measures.measure,
        case when numbered.scope = measures.scope then 1 else 3 end as precedence,
        measures.kind,
        measures.unit,
        measures.is_lower_better,
        measures.days_to_know
    from numbered
    inner join {{ ref('kpi_measures') }} as measures
        on
            numbered.named_measure = measures.measure
            and coalesce(numbered.named_mart, measures.mart) = measures.mart
    -- shares and prices do not add up
    where
        measures.kind = 'flow'
        or not numbered.is_total

    union all

    select
        numbered.target_no,
        0 as table_no,
        'metric_observations' as mart,
        observed.metric as measure,
        case when numbered.scope = observed.scope then 2 else 4 end as precedence,
        case when numbered.is_total then 'flow' else 'level' end as kind,
        cast(null as varchar) as unit,
        false as is_lower_better,
        0 as days_to_know
    from numbered
    inner join observed
        on numbered.name in (observed.metric, concat('metric_observations.', observed.metric))
),

chosen as (
    select *
    from meanings
    qualify row_number() over (partition by target_no order by precedence, table_no, measure) = 1
)

select
    numbered.target_no,
    numbered.metric,
    numbered.scope,
    numbered.scope_value,
    {{ kpi_name('numbered.scope_value') }} as scope_key,
    numbered.baseline,
    numbered.value,
    numbered.is_relative,
    numbered.target,
    numbered.starts_on,
    numbered.due_on,
    numbered.owner,
    numbered.horizon,
    numbered.is_total,
    chosen.table_no,
    chosen.mart,
    chosen.measure,
    chosen.kind,
    chosen.unit,
    -- where it starts says whether up or down is better; else the measure does
    coalesce(
        case when numbered.target <> numbered.baseline then numbered.target < numbered.baseline end,
        chosen.is_lower_better,
        false
    ) as is_lower_better,
    chosen.days_to_know,
    case
        when chosen.target_no is null then 'unknown_metric'
        when chosen.precedence > 2 then 'unknown_scope'
        when
            numbered.target is null
            or (numbered.scope <> 'clinic' and numbered.scope_value is null)
            or (numbered.is_total and (numbered.starts_on is null or numbered.due_on is null))
            or coalesce(numbered.due_on < numbered.starts_on, false)
            then 'incomplete'
    end as defect
from numbered
left join chosen
    on numbered.target_no = chosen.target_no
