-- An N-day figure of a month is there exactly when the month's last day + N has come.
select
    cost_per_patient.month,
    cost_per_patient.channel,
    cost_per_patient.revenue_90d,
    cost_per_patient.revenue_365d,
    as_of.as_of
from {{ ref('cost_per_patient') }} as cost_per_patient
cross join {{ ref('as_of') }} as as_of
where
    (cost_per_patient.revenue_90d is not null)
    != coalesce(cast(last_day(cost_per_patient.month) as date) + 90 <= as_of.as_of, false)
    or (cost_per_patient.revenue_365d is not null)
    != coalesce(cast(last_day(cost_per_patient.month) as date) + 365 <= as_of.as_of, false)
