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

-- of several targets in force the one that began last, then the one that is due first
targets as (
    select
        months.month,
        {{ operator_key('own.scope_value') }} as operator_key,
        own.measure,
        own.target
    from {{ ref('kpi_targets') }} as own
    inner join months
        on
            coalesce(own.starts_on <= cast(last_day(months.month) as date), true)
            and coalesce(own.due_on >= months.month, true)
    where
        own.mart = 'operator_performance'
        and own.scope = 'operator'
        and not own.is_total
    qualify row_number() over (
        partition by months.month, {{ operator_key('own.scope_value') }}, own.measure
        order by own.starts_on desc nulls last, own.due_on asc nulls last, own.value asc
    ) = 1
),

operator_targets as (
    select
        month,
        {% for metric in targeted -%}
        max(target) filter (where measure = '{{ metric }}') as {{ metric }},
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
