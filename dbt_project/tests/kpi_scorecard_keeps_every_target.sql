-- a line of the clinic's table that is nowhere in the scorecard, whatever is wrong with it
select
    targets.metric,
    targets.scope,
    targets.scope_value,
    targets.value,
    targets.starts_on,
    targets.due_on
from {{ ref('stg_reference__targets') }} as targets
left join {{ ref('kpi_scorecard') }} as scorecard
    on
        trim(targets.metric) = scorecard.metric
        and {{ kpi_scope('targets.scope', 'targets.scope_value') }} = scorecard.scope
        and nullif(trim(targets.scope_value), '') is not distinct from scorecard.scope_value
        and targets.value = scorecard.value
        and coalesce(targets.is_relative, false) = scorecard.is_relative
        and targets.baseline is not distinct from scorecard.baseline
        and targets.starts_on is not distinct from scorecard.starts_on
        and targets.due_on is not distinct from scorecard.due_on
        and nullif(trim(targets.owner), '') is not distinct from scorecard.owner
where scorecard.target_no is null
