{%- set half_life_us = days_us(var('half_life_days')) -%}

with patients as (
    select
        patient_history.patient_id,
        patient_history.converted_at,
        trim(patient_history.self_reported_source) as self_reported_source,
        link_evidence.rule
    from {{ ref('patient_history') }} as patient_history
    inner join {{ ref('link_evidence') }} as link_evidence
        on patient_history.patient_id = link_evidence.patient_id
    where
        patient_history.is_new_patient
        and link_evidence.is_chosen
),

placed as (
    select
        touches.patient_id,
        touches.touch_id,
        touches.touched_at,
        touches.channel,
        touches.source,
        touches.campaign,
        touches.channel not in ('direct', 'unassigned') as is_known,
        coalesce(channels.is_paid, false) as is_paid,
        {{ elapsed_us('touches.touched_at', 'patients.converted_at') }} as us_before,
        row_number() over (
            partition by touches.patient_id order by touches.touched_at, touches.touch_id
        ) as i,
        count(*) over (partition by touches.patient_id) as n
    from {{ ref('journey_touches') }} as touches
    inner join patients
        on touches.patient_id = patients.patient_id
    left join {{ ref('channels') }} as channels
        on touches.channel = channels.channel
),

anchored as (
    select
        *,
        coalesce(
            max(case when is_known then i end) over (partition by patient_id),
            n
        ) as last_non_direct,
        max(case when is_paid then i end) over (partition by patient_id) as last_paid,
        -- The journey's latest touch counts as moment zero: the common factor cancels out when the weights
        -- are normalised, and it keeps them from vanishing when every touch is many half-lives old.
        pow(
            cast(0.5 as double),
            cast(us_before - min(us_before) over (partition by patient_id) as double) / {{ half_life_us }}
        ) as decay
    from placed
),

weighted as (
    select
        *,
        -- summed as decimals: the sum of doubles depends on the order of the rows
        cast(sum(cast(decay as decimal(38, 18))) over (partition by patient_id) as double) as decay_sum
    from anchored
),

credits as (
    select
        patient_id,
        'first_touch' as attribution_model,
        touch_id,
        touched_at,
        channel,
        source,
        campaign,
        case when i = 1 then 1.0 else 0.0 end as credit
    from weighted

    union all

    select
        patient_id,
        'last_touch' as attribution_model,
        touch_id,
        touched_at,
        channel,
        source,
        campaign,
        case when i = n then 1.0 else 0.0 end as credit
    from weighted

    union all

    select
        patient_id,
        'last_non_direct' as attribution_model,
        touch_id,
        touched_at,
        channel,
        source,
        campaign,
        case when i = last_non_direct then 1.0 else 0.0 end as credit
    from weighted

    union all

    select
        patient_id,
        'last_paid' as attribution_model,
        touch_id,
        touched_at,
        channel,
        source,
        campaign,
        case when i = coalesce(last_paid, last_non_direct) then 1.0 else 0.0 end as credit
    from weighted

    union all

    select
        patient_id,
        'linear' as attribution_model,
        touch_id,
        touched_at,
        channel,
        source,
        campaign,
        cast(1 as double) / n as credit
    from weighted

    union all

    select
        patient_id,
        'position_based' as attribution_model,
        touch_id,
        touched_at,
        channel,
        source,
        campaign,
        case
            when n = 1 then 1.0
            when n = 2 then 0.5
            when i in (1, n) then 0.4
            else cast(0.2 as double) / (n - 2)
        end as credit
    from weighted

    union all

    select
        patient_id,
        'time_decay' as attribution_model,
        touch_id,
        touched_at,
        channel,
        source,
        campaign,
        decay / decay_sum as credit
    from weighted
),

models as (
    {% for model in attribution_models() -%}
    select '{{ model }}' as attribution_model
    {{ "union all" if not loop.last }}
    {% endfor -%}
),

-- the desk's words, compared trimmed and case-folded; of two entries for one text the first by name counts
self_reported_channels as (
    select
        lower(trim(text)) as folded_text,
        min(channel) as channel
    from {{ ref('stg_reference__self_reported_map') }}
    group by all
),

without_touch as (
    select
        patients.patient_id,
        models.attribution_model,
        cast(null as varchar) as touch_id,
        cast(null as timestamptz) as touched_at,
        case
            when patients.rule = 'self_reported'
                then coalesce(self_reported_channels.channel, 'self_reported')
            when patients.rule = 'household' then 'household'
            else 'unlinked'
        end as channel,
        case
            when patients.rule = 'self_reported' then patients.self_reported_source
            else '(none)'
        end as source,
        '(none)' as campaign,
        1.0 as credit
    from patients
    cross join models
    left join self_reported_channels
        on lower(patients.self_reported_source) = self_reported_channels.folded_text
    where
        not exists (
            select 1 from placed
            where placed.patient_id = patients.patient_id
        )
),

all_credits as (
    select * from credits
    union all
    select * from without_touch
),

-- of several decisions on one patient the latest stands
overrides as (
    select
        coalesce(cards.patient_id, trim(decided.id)) as patient_id,
        trim(decided.channel) as channel
    from {{ ref('stg_reference__channel_overrides') }} as decided
    left join {{ ref('patient_cards') }} as cards
        on trim(decided.id) = cards.card_id
    where lower(trim(decided.kind)) = 'patient'
    qualify row_number() over (
        partition by coalesce(cards.patient_id, trim(decided.id))
        order by {{ quoted('on') }} desc nulls last, channel asc
    ) = 1
)

select
    all_credits.patient_id,
    all_credits.attribution_model,
    all_credits.touch_id,
    all_credits.touched_at,
    coalesce(overrides.channel, all_credits.channel) as channel,
    case
        when coalesce(overrides.channel, all_credits.channel) = all_credits.channel then all_credits.source
        else '(none)'
    end as source,
    case
        when coalesce(overrides.channel, all_credits.channel) = all_credits.channel then all_credits.campaign
        else '(none)'
    end as campaign,
    cast(all_credits.credit as double) as credit
from all_credits
left join overrides
    on all_credits.patient_id = overrides.patient_id
