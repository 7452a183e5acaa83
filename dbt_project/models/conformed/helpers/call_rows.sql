with legs as (
    select
        folds.into_source_name as source_name,
        folds.into_call_id as call_id,
        calls.operator,
        calls.branch,
        calls.talk_s,
        calls.wait_s,
        calls.is_answered,
        calls.is_voicemail,
        calls.recording_ref,
        coalesce(calls.pbx_ref, calls.call_id) as pbx_ref,
        -- the leg that somebody took tells who spoke
        row_number() over (
            partition by folds.into_source_name, folds.into_call_id
            order by
                coalesce(calls.is_answered, false) desc,
                folds.gap_us,
                calls.source_name asc,
                calls.call_id asc
        ) as leg_rank
    from {{ ref('pbx_folds') }} as folds
    inner join {{ ref('all_calls') }} as calls
        on
            folds.source_name = calls.source_name
            and folds.call_id = calls.call_id
),

exchange as (
    select
        source_name,
        call_id,
        min_by(operator, leg_rank) filter (where operator is not null) as operator,
        min_by(branch, leg_rank) filter (where branch is not null) as branch,
        min_by(talk_s, leg_rank) filter (where talk_s is not null) as talk_s,
        min_by(wait_s, leg_rank) filter (where wait_s is not null) as wait_s,
        bool_or(is_answered) as is_answered,
        bool_and(is_voicemail) as is_voicemail,
        min_by(recording_ref, leg_rank) filter (where recording_ref is not null) as recording_ref,
        min_by(pbx_ref, leg_rank) as pbx_ref
    from legs
    group by all
),

enriched as (
    select
        calls.* exclude (
            direction,
            operator,
            branch,
            talk_s,
            wait_s,
            is_answered,
            is_voicemail,
            recording_ref,
            pbx_ref,
            is_pbx
        ),
        coalesce(calls.direction, 'inbound') as direction,
        coalesce(calls.operator, exchange.operator) as operator,
        coalesce(calls.branch, exchange.branch) as branch,
        coalesce(calls.talk_s, exchange.talk_s) as talk_s,
        coalesce(calls.wait_s, exchange.wait_s) as wait_s,
        coalesce(calls.is_answered, exchange.is_answered) as is_answered,
        coalesce(calls.is_voicemail, exchange.is_voicemail) as is_voicemail,
        coalesce(calls.recording_ref, exchange.recording_ref) as recording_ref,
        coalesce(calls.pbx_ref, exchange.pbx_ref) as pbx_ref,
        coalesce(calls.is_pbx, false) as is_pbx,
        {{ clinic_date('calls.called_at') }} as local_date,
        -- a tracker without a session writes the dialled number where the source belongs
        coalesce(regexp_full_match(calls.source, '\+?[0-9][0-9 ()-]{6,}'), false) as is_source_a_number
    from {{ ref('all_calls') }} as calls
    left join exchange
        on
            calls.source_name = exchange.source_name
            and calls.call_id = exchange.call_id
    where not exists (
        select 1
        from {{ ref('pbx_folds') }} as folds
        where
            folds.source_name = calls.source_name
            and folds.call_id = calls.call_id
    )
),

dialled as (
    select distinct
        coalesce(tracking_number, '') as tracking_number,
        case when is_source_a_number then source else '' end as source_number,
        local_date
    from enriched
),

-- the number in force on the day of the call; of two, the one that came into force last
dedicated as (
    select
        dialled.tracking_number,
        dialled.source_number,
        dialled.local_date,
        numbers.tracking_number_no
    from dialled
    inner join {{ ref('tracking_number_rows') }} as numbers
        on
            numbers.digits in (
                regexp_replace(dialled.tracking_number, '[^0-9]', '', 'g'),
                regexp_replace(dialled.source_number, '[^0-9]', '', 'g')
            )
            and numbers.digits <> ''
            and dialled.local_date between numbers.valid_from and numbers.valid_to
    qualify row_number() over (
        partition by dialled.tracking_number, dialled.source_number, dialled.local_date
        order by
            numbers.digits = regexp_replace(dialled.tracking_number, '[^0-9]', '', 'g') desc,
            numbers.valid_from desc,
            numbers.tracking_number_no asc
    ) = 1
)

select
    enriched.*,
    dedicated.tracking_number_no,
    clinic_numbers.phone_key is not null as is_internal,
    coalesce(
        enriched.vendor_is_target,
        enriched.is_answered and enriched.talk_s >= {{ var('target_min_seconds') }},
        false
    ) as is_target,
    {{ origin_columns(
        source='case when not enriched.is_source_a_number then coalesce(enriched.source, enriched.utm_source) end',
        medium='coalesce(enriched.medium, enriched.utm_medium)',
        campaign="case when not enriched.is_source_a_number and coalesce(enriched.medium, '') <> 'offline' "
            ~ "then enriched.utm_campaign end",
        campaign_id='enriched.campaign_id',
        content='enriched.utm_content',
        term='enriched.utm_term',
        click_id_type='enriched.click_id_type',
        referrer='enriched.referrer_host',
        click_campaign_key='clicks.campaign_key',
    ) }}
from enriched
left join dedicated
    on
        coalesce(enriched.tracking_number, '') = dedicated.tracking_number
        and case when enriched.is_source_a_number then enriched.source else '' end = dedicated.source_number
        and enriched.local_date = dedicated.local_date
left join {{ ref('clinic_numbers') }} as clinic_numbers
    on enriched.phone_key = clinic_numbers.phone_key
left join {{ ref('click_campaigns') }} as clicks
    on enriched.click_id = clicks.click_id
