with patients as (
    select
        patient_history.patient_id,
        patient_history.converted_at,
        link_evidence.channel,
        link_evidence.source,
        link_evidence.campaign
    from {{ ref('patient_history') }} as patient_history
    inner join {{ ref('link_evidence') }} as link_evidence
        on patient_history.patient_id = link_evidence.patient_id
    where
        patient_history.is_new_patient
        and link_evidence.is_chosen
),

acquiring as (
    select
        patient_id,
        contact_id
    from {{ ref('link_evidence') }}
    where
        is_chosen
        and contact_id is not null
),

placed as (
    select
        touches.patient_id as journey_id,
        touches.touch_id,
        touches.touched_at,
        {{ elapsed_us('touches.touched_at', 'patients.converted_at') }} as us_before,
        touches.channel,
        touches.source,
        touches.campaign,
        touches.channel not in ('direct', 'unassigned') as is_known,
        coalesce(channels.is_paid, false) as is_paid,
        touches.contact_id is not null as is_contact,
        acquiring.contact_id is not null as is_acquiring,
        effects.removal_effect
    from {{ ref('journey_touches') }} as touches
    inner join patients
        on touches.patient_id = patients.patient_id
    left join {{ ref('channels') }} as channels
        on touches.channel = channels.channel
    left join acquiring
        on
            touches.patient_id = acquiring.patient_id
            and touches.contact_id = acquiring.contact_id
    left join {{ ref('channel_removal_effects') }} as effects
        on touches.channel = effects.channel
),

credits as (
    {{ touch_credits(
        'placed', ['touch_id', 'touched_at', 'channel', 'source', 'campaign'], days_us(var('half_life_days'))
    ) }}
),

models as (
    {% for model in attribution_models() -%}
    select '{{ model }}' as attribution_model
    {{ "union all" if not loop.last }}
    {% endfor -%}
),

-- all that is known is what the link says: the desk's words, a relative, nothing
without_touch as (
    select
        patients.patient_id,
        models.attribution_model,
        cast(null as varchar) as touch_id,
        cast(null as timestamptz) as touched_at,
        patients.channel,
        patients.source,
        patients.campaign,
        1.0 as credit
    from patients
    cross join models
    where
        not exists (
            select 1 from placed
            where placed.journey_id = patients.patient_id
        )
),

all_credits as (
    select
        journey_id as patient_id,
        attribution_model,
        touch_id,
        touched_at,
        channel,
        source,
        campaign,
        credit
    from credits

    union all

    select * from without_touch
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
    cast(all_credits.credit as double) as credit,
    case when overrides.patient_id is not null then all_credits.channel end as channel_before_override
from all_credits
left join {{ ref('patient_overrides') }} as overrides
    on all_credits.patient_id = overrides.patient_id
