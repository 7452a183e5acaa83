{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- What the best quarter of the team would have made of each operator's contacts. Operators are compared by
-- how many contacts brought a new patient, beside how many would have at the team's rates for contacts of one
-- channel, hour and branch: who answers at lunch, or one channel only, is not measured by others' luck.
with enquiries as (
    select
        enquiries.month,
        {{ month_number('enquiries.month') }} as month_no,
        {{ operator_key('enquiries.operator') }} as operator_key,
        coalesce(enquiries.branch, '(unknown)') as branch,
        enquiries.channel,
        enquiries.hour_of_day,
        enquiries.new_patients > 0 as is_converted
    from {{ ref('enquiries') }} as enquiries
    cross join {{ ref('as_of') }} as as_of
    where
        enquiries.standing = 'eligible'
        and {{ operator_key('enquiries.operator') }} is not null
        and {{ is_month_over('enquiries.month', 'as_of.as_of') }}
),

strata as (
    select
        month_no,
        channel,
        hour_of_day,
        branch,
        count(*) as contacts,
        count(*) filter (where is_converted) as converted
    from enquiries
    group by all
),

team as (
    select
        strata.month_no,
        strata.channel,
        strata.hour_of_day,
        strata.branch,
        cast({{ ratio('sum(earlier.converted)', 'sum(earlier.contacts)') }} as decimal(38, 18)) as rate
    from strata
    inner join strata as earlier
        on
            strata.channel = earlier.channel
            and strata.hour_of_day = earlier.hour_of_day
            and strata.branch = earlier.branch
            and earlier.month_no between strata.month_no - {{ months_of_rates() }} + 1 and strata.month_no
    group by all
),

operators as (
    select
        enquiries.month,
        enquiries.operator_key,
        enquiries.branch,
        count(*) as contacts,
        count(*) filter (where enquiries.is_converted) as converted,
        sum(team.rate) as expected
    from enquiries
    inner join team
        on
            enquiries.month_no = team.month_no
            and enquiries.channel = team.channel
            and enquiries.hour_of_day = team.hour_of_day
            and enquiries.branch = team.branch
    group by all
),

-- the team are people, whichever branches they answer for
people as (
    select
        month,
        operator_key,
        {{ ratio('sum(converted)', 'sum(expected)') }} as times_expected
    from operators
    group by all
    having sum(contacts) >= {{ fewest_contacts() }}
),

-- where the best quarter begins; one operator alone is no team
best as (
    select
        month,
        percentile_cont(0.75) within group (order by times_expected) as times_expected
    from people
    where times_expected is not null
    group by month
    having count(*) >= 2
)

select
    operators.month,
    operators.operator_key,
    operators.branch,
    {{ ratio('operators.expected', 'operators.contacts') }} as expected_rate,
    case
        when operators.contacts >= {{ fewest_contacts() }}
            then {{ ratio('operators.converted', 'operators.expected') }}
    end as times_expected,
    case
        when operators.contacts >= {{ fewest_contacts() }} and best.times_expected is not null
            then least(1, best.times_expected * {{ ratio('operators.expected', 'operators.contacts') }})
    end as benchmark_rate
from operators
left join best
    on operators.month = best.month
