-- A total of the whole clinic that is not the sum of the months of its mart, from its start to the month due.
with months as (
    {%- for measure in ['cost', 'calls', 'contacts', 'bookings', 'arrivals', 'new_patients', 'revenue'] %}
    select
        '{{ measure }}' as measure,
        month,
        {{ measure }} as figure
    from {{ ref('monthly_summary') }}
    {{ "union all" if not loop.last }}
    {%- endfor %}
)

select
    scorecard.target_no,
    scorecard.actual,
    sum(months.figure) as of_mart
from {{ ref('kpi_scorecard') }} as scorecard
inner join months
    on
        scorecard.measure = months.measure
        and scorecard.starts_on <= cast(last_day(months.month) as date)
        and scorecard.due_on >= months.month
cross join {{ ref('as_of') }} as as_of
where
    scorecard.mart = 'monthly_summary'
    and scorecard.measured_as = 'total'
    and scorecard.actual is not null
    and months.month <= as_of.as_of
group by
    scorecard.target_no,
    scorecard.actual
having abs(scorecard.actual - sum(months.figure)) > 0.000001
