with answers as (
    select
        patient_id,
        1 as part_order,
        'channel' as part,
        converted_at as happened_at,
        cast(null as varchar) as touch_id,
        acquiring_contact_id as contact_id,
        channel,
        source,
        campaign,
        cast(null as double) as credit,
        acquiring_rule as rule,
        cast(null as double) as gap_seconds,
        cast(null as bigint) as preference,
        true as is_decisive,
        case
            when channel_before_override is not null then 'decided by hand, see override'
            when channel_touch_id is not null then 'touch with most credit under {{ var("default_model") }}'
            else 'no touch, so what the link says'
        end as because
    from {{ ref('patient_journeys') }}
),

decisions as (
    select
        patient_id,
        cast(null as varchar) as contact_id,
        channel,
        channel_before_override,
        override_by,
        override_on,
        override_reason
    from {{ ref('patient_journeys') }}
    where channel_before_override is not null

    union all

    select
        patient_contacts.patient_id,
        contacts.contact_id,
        contacts.channel,
        contacts.channel_before_override,
        contacts.override_by,
        contacts.override_on,
        contacts.override_reason
    from {{ ref('patient_contacts') }} as patient_contacts
    inner join {{ ref('contacts') }} as contacts
        on patient_contacts.contact_id = contacts.contact_id
    where contacts.is_channel_overridden
),

overrides as (
    select
        patient_id,
        2 as part_order,
        'override' as part,
        cast(null as timestamptz) as happened_at,
        cast(null as varchar) as touch_id,
        contact_id,
        channel,
        '(none)' as source,
        '(none)' as campaign,
        cast(null as double) as credit,
        cast(null as varchar) as rule,
        cast(null as double) as gap_seconds,
        cast(null as bigint) as preference,
        contact_id is null as is_decisive,
        coalesce(override_by, 'somebody')
        || coalesce(' on ' || cast(override_on as varchar), '')
        || ': '
        || coalesce(override_reason, 'no reason given')
        || '; before: '
        || channel_before_override as because
    from decisions
),

touches as (
    select
        touches.patient_id,
        3 as part_order,
        'touch' as part,
        touches.touched_at as happened_at,
        touches.touch_id,
        touches.contact_id,
        touches.channel,
        touches.source,
        touches.campaign,
        credits.credit,
        cast(null as varchar) as rule,
        cast(null as double) as gap_seconds,
        cast(null as bigint) as preference,
        touches.touch_id = journeys.channel_touch_id as is_decisive,
        case touches.channel_from
            when 'session' then 'channel of the session'
            when 'contact' then 'channel of the contact'
            else 'channel decided by hand for the contact'
        end
        || case
            when touches.contact_id = journeys.acquiring_contact_id then '; acquiring contact'
            else ''
        end as because
    from {{ ref('journey_touches') }} as touches
    inner join {{ ref('patient_journeys') }} as journeys
        on touches.patient_id = journeys.patient_id
    inner join {{ ref('attribution_credits') }} as credits
        on
            touches.patient_id = credits.patient_id
            and touches.touch_id = credits.touch_id
            and credits.attribution_model = '{{ var("default_model") }}'
),

links as (
    select
        links.patient_id,
        4 as part_order,
        'link' as part,
        links.touched_at as happened_at,
        cast(null as varchar) as touch_id,
        links.contact_id,
        links.channel,
        links.source,
        links.campaign,
        cast(null as double) as credit,
        links.rule,
        links.gap_seconds,
        links.preference,
        links.is_chosen as is_decisive,
        case
            when links.lost_because = 'weaker_rule' then 'lost: ' || journeys.acquiring_rule || ' comes first'
            when links.lost_because = 'no_contact' then 'lost: a contact comes before a session'
            when links.lost_because = 'larger_gap' then 'lost: the chosen contact is nearer'
            when links.lost_because = 'later' then 'lost: the chosen contact is earlier'
            when links.lost_because = 'larger_id' then 'lost: of one moment the smaller id is chosen'
            when links.rule = 'booking_reference' then 'chosen: contact and booking name one another'
            when links.rule = 'phone_at_booking' then 'chosen: same phone, nearest to the booking'
            when links.rule = 'phone' then 'chosen: same phone, nearest before the conversion'
            when links.rule = 'visitor' then 'chosen: same browser or account'
            when links.rule = 'self_reported' then 'chosen: what the patient told the desk'
            when links.rule = 'household' then 'chosen: another patient of the phone came before'
            else 'no rule found anything'
        end as because
    from {{ ref('link_evidence') }} as links
    inner join {{ ref('patient_journeys') }} as journeys
        on links.patient_id = journeys.patient_id
),

parts as (
    select * from answers
    union all
    select * from overrides
    union all
    select * from touches
    union all
    select * from links
)

select
    patient_id,
    row_number() over (
        partition by patient_id
        order by part_order, preference, happened_at, touch_id, contact_id nulls first
    ) as step,
    part,
    happened_at,
    channel,
    source,
    campaign,
    because,
    is_decisive,
    credit,
    rule,
    gap_seconds,
    touch_id,
    contact_id
from parts
