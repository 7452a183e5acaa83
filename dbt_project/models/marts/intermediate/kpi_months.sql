{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- The figure of each target, month by month.
with targets as (
    select *
    from {{ ref('kpi_targets') }}
    where defect is null
),

{%- for table in kpi_tables() %}
mart_{{ loop.index }} as (
    select
        {{ loop.index }} as table_no,
        {%- for scope, column in table.scopes.items() %}
        {{ kpi_name(column) }} as of_{{ scope }},
        {%- endfor %}
        {%- for name, measure in table.measures.items() %}
        cast({{ measure.top or name }} as decimal(28, 9)) as {{ name }}_top,
        cast({{ measure.bottom or 'null' }} as decimal(28, 9)) as {{ name }}_bottom,
        {%- endfor %}
        {{ table.month }} as month
    from {{ ref(table.model) }}
),
{% endfor %}
-- every row of a mart for every target that it serves; sums of decimals do not depend on the order of rows
figures as (
    {%- for table in kpi_tables() %}
    {%- set mart = 'mart_' ~ loop.index %}
    select
        targets.target_no,
        {{ mart }}.month,
        case targets.scope
            when 'clinic' then true
            {%- for scope in table.scopes %}
            when '{{ scope }}' then coalesce({{ mart }}.of_{{ scope }} = targets.scope_key, false)
            {%- endfor %}
        end as is_in_scope,
        case targets.measure
            {%- for name in table.measures %}
            when '{{ name }}' then {{ mart }}.{{ name }}_top
            {%- endfor %}
        end as top,
        case targets.measure
            {%- for name in table.measures %}
            when '{{ name }}' then {{ mart }}.{{ name }}_bottom
            {%- endfor %}
        end as bottom
    from targets
    inner join {{ mart }}
        on targets.table_no = {{ mart }}.table_no
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

observations as (
    select
        targets.target_no,
        {{ month_of('observations.observed_on') }} as month,
        observations.observed_on,
        cast(observations.value as decimal(28, 9)) as value,
        targets.kind = 'flow'
        or observations.observed_on = max(observations.observed_on) over (
            partition by targets.target_no, {{ month_of('observations.observed_on') }}
        ) as is_counted,
        targets.kind
    from targets
    inner join {{ ref('metric_observations') }} as observations
        on
            targets.table_no = 0
            and targets.measure = {{ kpi_name('observations.metric') }}
            and targets.scope = {{ kpi_scope('observations.scope', 'observations.scope_value') }}
            and (
                targets.scope = 'clinic'
                or targets.scope_key = {{ kpi_name('observations.scope_value') }}
            )
    cross join {{ ref('as_of') }} as as_of
    where
        observations.observed_on <= as_of.as_of
        -- what a level was later is not what it was when it was due
        and (targets.kind = 'flow' or coalesce(observations.observed_on <= targets.due_on, true))
),

summed as (
    select
        target_no,
        month,
        count(*) filter (where is_in_scope) as rows_in_scope,
        sum(top) filter (where is_in_scope) as top,
        sum(bottom) filter (where is_in_scope) as bottom,
        sum(top) as clinic_top,
        cast(null as date) as observed_on
    from figures
    group by target_no, month

    union all

    select
        target_no,
        month,
        count(*) as rows_in_scope,
        sum(value) as top,
        -- a level observed twice on one day is the mean of both
        cast(case when kind = 'level' then count(*) end as decimal(28, 9)) as bottom,
        sum(value) as clinic_top,
        max(observed_on) as observed_on
    from observations
    where is_counted
    group by target_no, month, kind
),

-- the first month in which the clinic had anything: data may begin within it
spans as (
    select
        target_no,
        coalesce(min(case when clinic_top <> 0 then month end), min(month)) as first_month
    from summed
    group by target_no
    having sum(rows_in_scope) > 0
),

calendar as (
    select distinct month
    from summed
),

-- a month without a row in the scope is a month of nothing; a share, a price or a level of nothing is unknown
filled as (
    select
        targets.target_no,
        targets.kind,
        targets.days_to_know,
        calendar.month,
        spans.first_month,
        summed.observed_on,
        case
            when targets.kind <> 'flow' then {{ ratio('summed.top', 'summed.bottom') }}
            when summed.rows_in_scope > 0 then cast(summed.top as double)
            -- the mart has the month, but nobody's figure yet
            when summed.target_no is not null and summed.clinic_top is null then null
            else 0
        end as value
    from targets
    inner join spans
        on targets.target_no = spans.target_no
    inner join calendar
        on spans.first_month <= calendar.month
    left join summed
        on
            targets.target_no = summed.target_no
            and calendar.month = summed.month
)

select
    filled.target_no,
    filled.month,
    {{ month_number('filled.month') }} as month_no,
    filled.value,
    coalesce(filled.observed_on, cast(last_day(filled.month) as date)) as known_on,
    filled.kind = 'level'
    or cast(last_day(filled.month) as date) + filled.days_to_know <= as_of.as_of as is_known,
    -- half a month is no measure of months
    filled.kind = 'level' or filled.month > filled.first_month as is_whole
from filled
cross join {{ ref('as_of') }} as as_of
where
    filled.value is not null
    and filled.month <= as_of.as_of
