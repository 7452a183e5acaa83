-- No join of the conformed layer drops or doubles a row, and spreading and folding lose nothing: what goes in
-- is what comes out.
with tallies as (
    select
        'ad_spend rows' as measure,
        count(*) as tally
    from {{ ref('all_ad_spend') }}

    union all

    select
        'ad_spend rows' as measure,
        -count(*) as tally
    from {{ ref('ad_spend') }}

    union all

    select
        'ad_spend money' as measure,
        coalesce(sum(cost_native), 0) as tally
    from {{ ref('all_ad_spend') }}

    union all

    select
        'ad_spend money' as measure,
        -coalesce(sum(cost_native), 0) as tally
    from {{ ref('ad_spend') }}

    union all

    select
        'other_costs money' as measure,
        coalesce(sum(amount), 0) as tally
    from {{ ref('all_other_costs') }}

    union all

    select
        'other_costs money' as measure,
        -coalesce(sum(cost_native), 0) as tally
    from {{ ref('other_costs') }}

    union all

    select
        'web_sessions rows' as measure,
        count(*) as tally
    from {{ ref('session_rows') }}

    union all

    select
        'web_sessions rows' as measure,
        -count(*) as tally
    from {{ ref('web_sessions') }}

    union all

    select
        'appointments rows' as measure,
        count(*) as tally
    from {{ ref('all_appointments') }}

    union all

    select
        'appointments rows' as measure,
        -count(*) as tally
    from {{ ref('appointments') }}

    union all

    select
        'visits rows' as measure,
        count(*) as tally
    from {{ ref('all_visits') }}

    union all

    select
        'visits rows' as measure,
        -count(*) as tally
    from {{ ref('visits') }}

    union all

    select
        'visit_lines rows' as measure,
        count(*) as tally
    from {{ ref('all_visit_lines') }}

    union all

    select
        'visit_lines rows' as measure,
        -count(*) as tally
    from {{ ref('visit_lines') }}

    union all

    select
        'payments rows' as measure,
        count(*) as tally
    from {{ ref('all_payments') }}

    union all

    select
        'payments rows' as measure,
        -count(*) as tally
    from {{ ref('payments') }}

    union all

    select
        'payments money' as measure,
        coalesce(sum(amount), 0) as tally
    from {{ ref('all_payments') }}

    union all

    select
        'payments money' as measure,
        -coalesce(sum(amount_native), 0) as tally
    from {{ ref('payments') }}

    union all

    select
        'calls rows' as measure,
        count(*) as tally
    from {{ ref('all_calls') }}

    union all

    select
        'calls rows' as measure,
        -count(*) as tally
    from {{ ref('calls') }}

    union all

    select
        'calls rows' as measure,
        -count(*) as tally
    from {{ ref('pbx_folds') }}

    union all

    select
        'contacts rows' as measure,
        count(*) as tally
    from {{ ref('contact_candidates') }}

    union all

    select
        'contacts rows' as measure,
        -count(*) as tally
    from {{ ref('contacts') }}

    union all

    select
        'contacts rows' as measure,
        -count(*) as tally
    from {{ ref('contact_folds') }}

    union all

    select
        'daily_costs money' as measure,
        coalesce(sum(cost), 0) as tally
    from {{ ref('ad_spend') }}
    where is_of_record

    union all

    select
        'daily_costs money' as measure,
        coalesce(sum(cost), 0) as tally
    from {{ ref('other_costs') }}

    union all

    select
        'daily_costs money' as measure,
        -coalesce(sum(cost), 0) as tally
    from {{ ref('daily_costs') }}
)

select
    measure,
    sum(tally) as lost
from tallies
group by measure
having sum(tally) <> 0
