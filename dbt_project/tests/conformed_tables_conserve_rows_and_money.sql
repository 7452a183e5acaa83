-- No join of the conformed layer drops or doubles a row, and spreading and folding lose nothing: each measure is
-- the same before and after.
with measures as (
    select
        'ad_spend rows' as measure,
        (select count(*) from {{ ref('all_ad_spend') }}) as before,
        (select count(*) from {{ ref('ad_spend') }}) as after

    union all

    select
        'ad_spend cost_native' as measure,
        (select coalesce(sum(cost_native), 0) from {{ ref('all_ad_spend') }}) as before,
        (select coalesce(sum(cost_native), 0) from {{ ref('ad_spend') }}) as after

    union all

    select
        'other_costs cost_native' as measure,
        (select coalesce(sum(amount), 0) from {{ ref('all_other_costs') }}) as before,
        (select coalesce(sum(cost_native), 0) from {{ ref('other_costs') }}) as after

    union all

    select
        'daily_costs cost' as measure,
        (select coalesce(sum(cost), 0) from {{ ref('ad_spend') }} where is_of_record)
        + (select coalesce(sum(cost), 0) from {{ ref('other_costs') }}) as before,
        (select coalesce(sum(cost), 0) from {{ ref('daily_costs') }}) as after

    union all

    select
        'web_sessions rows' as measure,
        (select count(*) from {{ ref('session_rows') }}) as before,
        (select count(*) from {{ ref('web_sessions') }}) as after

    union all

    select
        'calls rows' as measure,
        (select count(*) from {{ ref('all_calls') }}) as before,
        (select count(*) from {{ ref('calls') }}) + (select count(*) from {{ ref('pbx_folds') }}) as after

    union all

    select
        'contacts rows' as measure,
        (select count(*) from {{ ref('contact_candidates') }}) as before,
        (select count(*) from {{ ref('contacts') }}) + (select count(*) from {{ ref('contact_folds') }}) as after

    union all

    select
        'appointments rows' as measure,
        (select count(*) from {{ ref('all_appointments') }}) as before,
        (select count(*) from {{ ref('appointments') }}) as after

    union all

    select
        'visits rows' as measure,
        (select count(*) from {{ ref('all_visits') }}) as before,
        (select count(*) from {{ ref('visits') }}) as after

    union all

    select
        'visit_lines amount_native' as measure,
        (select coalesce(sum(amount), 0) from {{ ref('all_visit_lines') }}) as before,
        (select coalesce(sum(amount_native), 0) from {{ ref('visit_lines') }}) as after

    union all

    select
        'payments amount_native' as measure,
        (select coalesce(sum(amount), 0) from {{ ref('all_payments') }}) as before,
        (select coalesce(sum(amount_native), 0) from {{ ref('payments') }}) as after
)

select *
from measures
where before <> after
