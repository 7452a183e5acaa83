{%- set counts = [
    'contacts', 'spam', 'irrelevant', 'existing_patients', 'eligible', 'missed', 'contacts_left', 'bookings',
    'new_patients', 'converted', 'scored',
] -%}
{%- set targeted = ['bookings', 'new_patients', 'new_patient_rate'] -%}

with contacts as (
    select
        month,
        coalesce({{ operator_key('operator') }}, '(unknown)') as operator_key,
        coalesce(branch, '(unknown)') as branch,
        count(*) as contacts,
        count(*) filter (where standing = 'spam') as spam,
        count(*) filter (where standing = 'irrelevant') as irrelevant,
        count(*) filter (where standing = 'existing_patient') as existing_patients,
        count(*) filter (where standing = 'eligible') as eligible,
        count(*) filter (where standing = 'eligible' and is_missed) as missed,
        count(*) filter (where standing = 'eligible' and is_contact_left) as contacts_left,
        count(*) filter (where standing = 'eligible' and is_booked) as bookings,
        sum(case when standing = 'eligible' then new_patients else 0 end) as new_patients,
        count(*) filter (where standing = 'eligible' and new_patients > 0) as converted,
        count(tag_score) filter (where standing = 'eligible') as scored,
        sum(tag_score) filter (where standing = 'eligible') as tag_scores
    from {{ ref('enquiries') }}
    group by all
),

combined as (
    select
        month,
        operator_key,
        branch,
        {% for count in counts -%}
        cast(coalesce(contacts.{{ count }}, 0) as bigint) as {{ count }},
        {% endfor -%}
        contacts.tag_scores,
        wages.wage
    from contacts
    full join {{ ref('operator_wages') }} as wages using (month, operator_key, branch)
),

spellings as (
    select
        trim(operator) as operator,
        1 as precedence
    from {{ ref('enquiries') }}
    where {{ operator_key('operator') }} is not null

    union all

    select
        trim(scope_value) as operator,
        2 as precedence
    from {{ ref('metric_observations') }}
    where {{ operator_key('scope_value') }} is not null
),

-- who is written in several ways is one operator, named as contacts name them
names as (
    select
        {{ operator_key('operator') }} as operator_key,
        operator
    from spellings
    qualify row_number() over (partition by {{ operator_key('operator') }} order by precedence, operator) = 1
),

months as (
    select distinct month
    from combined
),

-- a metric may be written with the table that it is of
own_targets as (
    select
        {{ operator_key('scope_value') }} as operator_key,
        regexp_replace(lower(trim(metric)), '^operator_performance[.]', '') as metric,
        starts_on,
        due_on,
        value,
        case when is_relative then baseline * (1 + value) else value end as target
    from {{ ref('stg_reference__targets') }}
    where lower(trim(scope)) = 'operator'
),

-- of several targets in force the one that began last, then the one that is due first
targets as (
    select
        months.month,
        own_targets.operator_key,
        own_targets.metric,
        own_targets.target
    from own_targets
    inner join months
        on
            coalesce(own_targets.starts_on <= cast(last_day(months.month) as date), true)
            and coalesce(own_targets.due_on >= months.month, true)
    qualify row_number() over (
        partition by months.month, own_targets.operator_key, own_targets.metric
        order by
            own_targets.starts_on desc nulls last,
            own_targets.due_on asc nulls last,
            own_targets.value asc
    ) = 1
),

operator_targets as (
    select
        month,
        {% for metric in targeted -%}
        max(target) filter (where metric = '{{ metric }}') as {{ metric }},
        {% endfor -%}
        operator_key
    from targets
    group by all
),

clv as (
    select {{ ratio('sum(revenue_365d)', 'count(revenue_365d)') }} as clv_365d
    from {{ ref('patient_journeys') }}
),

-- the rates of a month stand once whoever made contact in it has had the time to come
dated as (
    select
        combined.*,
        {{ is_month_over('combined.month', 'as_of.as_of') }} as is_over
    from combined
    cross join {{ ref('as_of') }} as as_of
),

rated as (
    select
        dated.*,
        case when dated.is_over then {{ ratio('dated.converted', 'dated.eligible') }} end as new_patient_rate,
        {% for end, sign in [('low', '-'), ('high', '+')] -%}
        case
            when dated.is_over then {{ wilson_end('dated.converted', 'dated.eligible', sign) }}
        end as new_patient_rate_{{ end }},
        {% endfor -%}
        benchmarks.expected_rate,
        benchmarks.times_expected,
        benchmarks.benchmark_rate
    from dated
    left join {{ ref('operator_benchmarks') }} as benchmarks
        on
            dated.month = benchmarks.month
            and dated.operator_key = benchmarks.operator_key
            and dated.branch = benchmarks.branch
)

select
    rated.month,
    coalesce(names.operator, '(unknown)') as operator,
    rated.branch,
    {% for count in counts -%}
    rated.{{ count }},
    {% endfor -%}
    {{ ratio('rated.missed', 'rated.eligible') }} as missed_rate,
    {{ ratio('rated.contacts_left', 'rated.eligible') }} as contact_left_rate,
    {{ ratio('rated.bookings', 'rated.eligible') }} as booking_rate,
    {{ ratio('rated.tag_scores', 'rated.scored') }} as tag_score,
    rated.new_patient_rate,
    rated.new_patient_rate_low,
    rated.new_patient_rate_high,
    rated.expected_rate,
    rated.times_expected,
    rated.benchmark_rate,
    rated.benchmark_rate > rated.new_patient_rate_high as is_below_benchmark,
    {{ to_money('clv.clv_365d') }} as clv_365d_avg,
    -- who does better than the benchmark lost nothing, and sets nothing off against what others lost
    {{ to_money(
        'rated.eligible * case when rated.benchmark_rate > rated.new_patient_rate '
        ~ 'then rated.benchmark_rate - rated.new_patient_rate when rated.benchmark_rate is not null then 0 end '
        ~ '* clv.clv_365d'
    ) }} as revenue_lost,
    {% for metric in targeted -%}
    operator_targets.{{ metric }} as target_{{ metric }},
    {% endfor -%}
    rated.wage
from rated
cross join clv
left join names
    on rated.operator_key = names.operator_key
left join operator_targets
    on
        rated.month = operator_targets.month
        and rated.operator_key = operator_targets.operator_key
