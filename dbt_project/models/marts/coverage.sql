with calls as (
    select
        'calls_with_source' as measure,
        source_name as item,
        'calls' as unit,
        count(*) filter (where coalesce(channel, 'unassigned') != 'unassigned') as value,
        count(*) as total
    from {{ ref('calls') }}
    where
        direction = 'inbound'
        and not coalesce(is_internal, false)
    group by source_name
),

rules as (
    {% for rule in linking_rules() -%}
    select '{{ rule }}' as rule
    {{ "union all" if not loop.last }}
    {% endfor -%}
),

patients_by_rule as (
    select
        'patients_by_rule' as measure,
        rules.rule as item,
        'patients' as unit,
        count(journeys.patient_id) as value,
        (select count(*) from {{ ref('patient_journeys') }}) as total
    from rules
    left join {{ ref('patient_journeys') }} as journeys
        on rules.rule = journeys.acquiring_rule
    group by rules.rule
),

patients_with_touches as (
    select
        'patients_with_touches' as measure,
        '' as item,
        'patients' as unit,
        count(*) filter (where touches > 0) as value,
        count(*) as total
    from {{ ref('patient_journeys') }}
),

reasons as (
    {% for reason in history_unknown_reasons() -%}
    select '{{ reason }}' as reason
    {{ "union all" if not loop.last }}
    {% endfor -%}
),

history_unknown as (
    select
        'history_unknown' as measure,
        reasons.reason as item,
        'patients' as unit,
        count(history.patient_id) as value,
        (select count(*) from {{ ref('patient_history') }}) as total
    from reasons
    left join {{ ref('patient_history') }} as history
        on reasons.reason = history.reason
    group by reasons.reason
),

flagged_visits as (
    select
        visits.clinic_says_primary,
        coalesce(visits.visit_id = history.first_visit_id, false) as is_first_landed
    from {{ ref('visits') }} as visits
    left join {{ ref('patient_history') }} as history
        on visits.patient_id = history.patient_id
    where
        visits.is_completed
        and visits.clinic_says_primary is not null
),

primary_disagreement as (
    select
        'clinic_primary_disagreement' as measure,
        'flagged_primary_but_not_first_visit' as item,
        'visits' as unit,
        count(*) filter (where clinic_says_primary and not is_first_landed) as value,
        count(*) as total
    from flagged_visits

    union all

    select
        'clinic_primary_disagreement' as measure,
        'first_visit_but_not_flagged_primary' as item,
        'visits' as unit,
        count(*) filter (where is_first_landed and not clinic_says_primary) as value,
        count(*) as total
    from flagged_visits
),

seen_campaigns as (
    select
        channel,
        source,
        campaign
    from {{ ref('monthly_sessions') }}

    union

    select
        coalesce(channel, 'unassigned') as channel,
        coalesce(source, '(none)') as source,
        coalesce(campaign, '(none)') as campaign
    from {{ ref('contacts') }}
),

advertised as (
    select
        coalesce(costs.source, '(none)') as source,
        costs.cost,
        seen_campaigns.campaign is not null as is_seen
    from {{ ref('daily_costs') }} as costs
    left join seen_campaigns
        on
            coalesce(costs.channel, 'unassigned') = seen_campaigns.channel
            and coalesce(costs.source, '(none)') = seen_campaigns.source
            and coalesce(costs.campaign, '(none)') = seen_campaigns.campaign
    where costs.origin = 'ad_spend'
),

spend_matched as (
    select
        'spend_matched' as measure,
        source as item,
        '{{ var("currency") }}' as unit,
        coalesce(sum(cost) filter (where is_seen), 0) as value,
        coalesce(sum(cost), 0) as total
    from advertised
    group by source
),

known_campaigns as (
    select distinct
        source,
        campaign
    from {{ ref('campaigns') }}
),

paid_sessions_matched as (
    select
        'paid_sessions_matched' as measure,
        sessions.source as item,
        'sessions' as unit,
        coalesce(sum(sessions.sessions) filter (where known_campaigns.campaign is not null), 0) as value,
        sum(sessions.sessions) as total
    from {{ ref('monthly_sessions') }} as sessions
    inner join {{ ref('channels') }} as channels
        on sessions.channel = channels.channel
    left join known_campaigns
        on
            sessions.source = known_campaigns.source
            and sessions.campaign = known_campaigns.campaign
    where channels.is_paid
    group by sessions.source
),

unmapped_statuses as (
    select
        'unmapped_statuses' as measure,
        'appointments' as item,
        'rows' as unit,
        count(*) filter (where status = 'unknown') as value,
        count(*) as total
    from {{ ref('appointments') }}

    union all

    select
        'unmapped_statuses' as measure,
        'visits' as item,
        'rows' as unit,
        count(*) filter (where status = 'unknown') as value,
        count(*) as total
    from {{ ref('visits') }}
),

spend_without_rate as (
    select
        'spend_without_rate' as measure,
        coalesce(source_name, '(none)') as item,
        coalesce(currency, '{{ var("currency") }}') as unit,
        coalesce(sum(cost_native) filter (where cost is null), 0) as value,
        coalesce(sum(cost_native), 0) as total
    from {{ ref('ad_spend') }}
    where is_of_record
    group by all
),

unknown_tax_basis as (
    select
        'spend_of_unknown_tax_basis' as measure,
        coalesce(source_name, '(none)') as item,
        '{{ var("currency") }}' as unit,
        coalesce(sum(cost) filter (where coalesce(tax_basis, 'unknown') = 'unknown'), 0) as value,
        coalesce(sum(cost), 0) as total
    from {{ ref('ad_spend') }}
    where is_of_record
    group by all
),

payments_without_rate as (
    select
        'payments_without_rate' as measure,
        coalesce(source_name, '(none)') as item,
        coalesce(currency, '{{ var("currency") }}') as unit,
        coalesce(sum(amount_native) filter (where amount is null), 0) as value,
        coalesce(sum(amount_native), 0) as total
    from {{ ref('payments') }}
    group by all
),

phones_not_linking as (
    select
        'phones_not_linking' as measure,
        '' as item,
        'phones' as unit,
        count(distinct phone_key) filter (where not is_linking) as value,
        count(distinct phone_key) as total
    from {{ ref('patient_phones') }}
),

vendor_totals as (
    select
        'vendor_totals' as measure,
        source_name || ': ' || measure as item,
        measure as unit,
        sum(ours) as value,
        sum(vendor) as total
    from {{ ref('vendor_totals') }}
    -- how many files brought the totals that agree says nothing of the clinic
    where
        origin = 'days'
        or not is_within_tolerance
    group by all
),

measures as (
    select * from calls
    union all
    select * from patients_by_rule
    union all
    select * from patients_with_touches
    union all
    select * from history_unknown
    union all
    select * from primary_disagreement
    union all
    select * from spend_matched
    union all
    select * from paid_sessions_matched
    union all
    select * from unmapped_statuses
    union all
    select * from spend_without_rate
    union all
    select * from unknown_tax_basis
    union all
    select * from payments_without_rate
    union all
    select * from phones_not_linking
    union all
    select * from vendor_totals
)

select
    measure,
    item,
    unit,
    cast(value as decimal(18, 2)) as value,
    cast(total as decimal(18, 2)) as total,
    {{ ratio('value', 'total') }} as share
from measures
