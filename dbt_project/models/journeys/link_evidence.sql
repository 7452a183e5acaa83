with patients as (
    select
        patient_id,
        booked_at,
        booked_at_is_date,
        converted_at,
        self_reported_source
    from {{ ref('patient_history') }}
    where is_new_patient
),

contacts as (
    select
        patients.patient_id,
        patient_contacts.contact_id,
        patient_contacts.contacted_at,
        patient_contacts.is_by_phone,
        patient_contacts.is_booking_reference,
        patient_contacts.is_by_visitor or patient_contacts.is_by_user as is_by_identity,
        patients.booked_at,
        -- nobody knows which call booked: one that follows another of the last weeks may be the confirmation
        patients.booked_at is not null or patient_contacts.is_unique as may_have_booked,
        patients.converted_at,
        {{ elapsed_us('patient_contacts.contacted_at', 'patients.booked_at') }} as us_to_booking,
        {{ elapsed_us('patient_contacts.contacted_at', 'patients.converted_at') }} as us_to_conversion,
        patients.booked_at is not null and not patients.booked_at_is_date as is_booking_time_known
    from {{ ref('patient_contacts') }} as patient_contacts
    inner join patients
        on patient_contacts.patient_id = patients.patient_id
),

booking_reference as (
    select
        patient_id,
        1 as rule_order,
        'booking_reference' as rule,
        contact_id,
        contacted_at,
        converted_at,
        us_to_conversion as gap_us,
        row_number() over (partition by patient_id order by contacted_at, contact_id) as candidate_order
    from contacts
    where is_booking_reference
),

phone_at_booking as (
    select
        patient_id,
        2 as rule_order,
        'phone_at_booking' as rule,
        contact_id,
        contacted_at,
        converted_at,
        us_to_booking as gap_us,
        row_number() over (
            partition by patient_id order by abs(us_to_booking), contacted_at, contact_id
        ) as candidate_order
    from contacts
    where
        is_by_phone
        and is_booking_time_known
        and us_to_booking between {{ seconds_us(-5 * 60) }} and {{ seconds_us(60 * 60) }}
),

phone as (
    select
        patient_id,
        3 as rule_order,
        'phone' as rule,
        contact_id,
        contacted_at,
        converted_at,
        us_to_conversion as gap_us,
        row_number() over (partition by patient_id order by us_to_conversion, contact_id) as candidate_order
    from contacts
    where
        is_by_phone
        and may_have_booked
        and us_to_conversion between 0 and {{ days_us(var('lookback_days')) }}
),

visitor_contacts as (
    select
        patient_id,
        contact_id,
        contacted_at,
        converted_at,
        us_to_conversion as gap_us
    from contacts
    where
        is_by_identity
        -- a contact of the patient's phone that rule 3 refused is refused here too
        and (may_have_booked or not is_by_phone)
        and us_to_conversion between 0 and {{ days_us(var('lookback_days')) }}
),

visitor_sessions as (
    select
        patients.patient_id,
        cast(null as varchar) as contact_id,
        sessions.started_at as contacted_at,
        patients.converted_at,
        {{ elapsed_us('sessions.started_at', 'patients.converted_at') }} as gap_us,
        sessions.channel,
        sessions.source,
        sessions.campaign
    from {{ ref('patient_sessions') }} as sessions
    inner join patients
        on sessions.patient_id = patients.patient_id
    qualify row_number() over (
        partition by sessions.patient_id
        order by sessions.started_at desc, sessions.session_id desc
    ) = 1
),

visitor as (
    select
        patient_id,
        4 as rule_order,
        'visitor' as rule,
        contact_id,
        contacted_at,
        converted_at,
        gap_us,
        row_number() over (
            partition by patient_id
            order by case when contact_id is null then 1 else 0 end, gap_us, contact_id
        ) as candidate_order
    from (
        select
            patient_id,
            contact_id,
            contacted_at,
            converted_at,
            gap_us
        from visitor_contacts

        union all

        select
            patient_id,
            contact_id,
            contacted_at,
            converted_at,
            gap_us
        from visitor_sessions
    ) as found
),

self_reported as (
    select
        patient_id,
        5 as rule_order,
        'self_reported' as rule,
        cast(null as varchar) as contact_id,
        cast(null as timestamptz) as contacted_at,
        converted_at,
        cast(null as bigint) as gap_us,
        1 as candidate_order
    from patients
    where nullif(trim(self_reported_source), '') is not null
),

first_visits as (
    select
        patient_id,
        first_visit_at
    from {{ ref('patient_history') }}
),

household as (
    select
        patients.patient_id,
        6 as rule_order,
        'household' as rule,
        cast(null as varchar) as contact_id,
        min(first_visits.first_visit_at) as contacted_at,
        patients.converted_at,
        {{ elapsed_us('min(first_visits.first_visit_at)', 'patients.converted_at') }} as gap_us,
        1 as candidate_order
    from patients
    inner join {{ ref('patient_phones') }} as own_phones
        on
            patients.patient_id = own_phones.patient_id
            and own_phones.is_linking
    inner join {{ ref('patient_phones') }} as same_phones
        on
            own_phones.phone_key = same_phones.phone_key
            and own_phones.patient_id != same_phones.patient_id
    inner join first_visits
        on
            same_phones.patient_id = first_visits.patient_id
            and patients.converted_at > first_visits.first_visit_at
    group by patients.patient_id, patients.converted_at
),

unlinked as (
    select
        patient_id,
        7 as rule_order,
        'unlinked' as rule,
        cast(null as varchar) as contact_id,
        cast(null as timestamptz) as contacted_at,
        converted_at,
        cast(null as bigint) as gap_us,
        1 as candidate_order
    from patients
),

candidates as (
    select * from booking_reference
    union all
    select * from phone_at_booking
    union all
    select * from phone
    union all
    select * from visitor
    union all
    select * from self_reported
    union all
    select * from household
    union all
    select * from unlinked
),

ranked as (
    select
        *,
        row_number() over (partition by patient_id order by rule_order, candidate_order) as preference
    from candidates
),

chosen as (
    select
        patient_id,
        rule_order,
        contacted_at,
        abs(gap_us) as gap_us
    from ranked
    where preference = 1
),

-- the desk's words, compared trimmed and case-folded; of two entries for one text the first by name counts
self_reported_channels as (
    select
        lower(trim(text)) as folded_text,
        min(channel) as channel
    from {{ ref('stg_reference__self_reported_map') }}
    group by all
)

select
    ranked.patient_id,
    ranked.rule,
    ranked.contact_id,
    -- a contact after the booking is dated at the booking
    case
        when ranked.contacted_at > ranked.converted_at then ranked.converted_at
        else ranked.contacted_at
    end as touched_at,
    cast(ranked.gap_us as double) / 1000000 as gap_seconds,
    case ranked.rule
        when 'self_reported' then coalesce(self_reported_channels.channel, 'self_reported')
        when 'household' then 'household'
        when 'unlinked' then 'unlinked'
        else coalesce(told.channel, visitor_sessions.channel)
    end as channel,
    case
        when ranked.rule = 'self_reported' then trim(patients.self_reported_source)
        else coalesce(told.source, visitor_sessions.source, '(none)')
    end as source,
    coalesce(told.campaign, visitor_sessions.campaign, '(none)') as campaign,
    ranked.preference,
    ranked.preference = 1 as is_chosen,
    case
        when ranked.preference = 1 then null
        when ranked.rule_order > chosen.rule_order then 'weaker_rule'
        when ranked.contact_id is null then 'no_contact'
        -- of contacts that a booking names the earliest is chosen, which lies farthest
        when ranked.rule != 'booking_reference' and abs(ranked.gap_us) > chosen.gap_us then 'larger_gap'
        when ranked.contacted_at > chosen.contacted_at then 'later'
        else 'larger_id'
    end as lost_because
from ranked
inner join patients
    on ranked.patient_id = patients.patient_id
inner join chosen
    on ranked.patient_id = chosen.patient_id
left join {{ ref('contacts') }} as told
    on ranked.contact_id = told.contact_id
left join visitor_sessions
    on
        ranked.patient_id = visitor_sessions.patient_id
        and ranked.rule = 'visitor'
        and ranked.contact_id is null
left join self_reported_channels
    on
        ranked.rule = 'self_reported'
        and lower(trim(patients.self_reported_source)) = self_reported_channels.folded_text
-- `unlinked` is no evidence of anything where another rule found something
where
    ranked.rule != 'unlinked'
    or ranked.preference = 1
