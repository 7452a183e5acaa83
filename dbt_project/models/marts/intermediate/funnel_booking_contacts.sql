{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- The contact that each booking came of. For the first visit of a new patient the journey has chosen it; any
-- other booking is linked by the same rules, from its own moment.
with timeline as (
    select
        booking_id,
        patient_id,
        agreed_at as happened_at,
        cast(null as timestamptz) as seen_at
    from {{ ref('funnel_bookings') }}

    union all

    select
        cast(null as varchar) as booking_id,
        patient_id,
        visited_at as happened_at,
        visited_at as seen_at
    from {{ ref('visits') }}
    where is_completed
),

-- somebody seen in the clinic since may have booked at its desk: an older contact explains nothing then
last_seen as (
    select
        booking_id,
        max(seen_at) over (
            partition by patient_id
            -- at the same instant the booking comes first in order, so that its own visit is not before it
            order by happened_at, seen_at nulls first
            rows between unbounded preceding and current row
        ) as seen_at
    from timeline
    where
        patient_id is not null
        and happened_at is not null
),

bookings as (
    select
        bookings.booking_id,
        bookings.appointment_id,
        bookings.patient_id,
        bookings.new_patient_id,
        bookings.booked_at,
        bookings.booked_at is not null and not coalesce(bookings.booked_at_is_date, false) as is_time_known,
        bookings.agreed_at,
        last_seen.seen_at,
        bookings.contact_ref,
        bookings.visitor_id,
        bookings.user_ref
    from {{ ref('funnel_bookings') }} as bookings
    left join last_seen
        on bookings.booking_id = last_seen.booking_id
),

of_phone as (
    select distinct
        bookings.booking_id,
        contacts.contact_id,
        contacts.contacted_at,
        contacts.is_unique
    from bookings
    inner join {{ ref('patient_phones') }} as phones
        on
            bookings.patient_id = phones.patient_id
            and phones.is_linking
    inner join {{ ref('contacts') }} as contacts
        on phones.phone_key = contacts.phone_key
    where bookings.new_patient_id is null
),

-- one reference names one contact: of several that a bare number fits, one of the patient's phone
named as (
    select
        bookings.booking_id,
        names.contact_id,
        names.contacted_at
    from bookings
    inner join {{ ref('contact_aliases') }} as names
        on bookings.contact_ref = names.contact_name
    left join of_phone
        on
            bookings.booking_id = of_phone.booking_id
            and names.contact_id = of_phone.contact_id
    where bookings.new_patient_id is null
    qualify row_number() over (
        partition by bookings.booking_id
        order by
            case when names.is_full_name then 0 else 1 end,
            case when of_phone.contact_id is not null then 0 else 1 end,
            names.contacted_at,
            names.contact_id
    ) = 1
),

shared_visitors as (
    {{ shared_ids('visitor_id') }}
),

of_identity as (
    select
        bookings.booking_id,
        contacts.contact_id,
        contacts.contacted_at
    from bookings
    inner join {{ ref('contacts') }} as contacts
        on bookings.visitor_id = contacts.visitor_id
    left join shared_visitors
        on bookings.visitor_id = shared_visitors.visitor_id
    where
        bookings.new_patient_id is null
        and shared_visitors.visitor_id is null

    union

    select
        bookings.booking_id,
        contacts.contact_id,
        contacts.contacted_at
    from bookings
    inner join {{ ref('contacts') }} as contacts
        on bookings.user_ref = contacts.user_ref
    where bookings.new_patient_id is null
),

-- a contact of the patient's phone that the phone rule refuses is refused by identity too
before_booking as (
    select
        found.booking_id,
        found.precedence,
        found.contact_id,
        found.contacted_at,
        {{ elapsed_us('found.contacted_at', 'bookings.agreed_at') }} as gap_us
    from (
        select
            booking_id,
            3 as precedence,
            contact_id,
            contacted_at,
            is_unique as is_phone_unique
        from of_phone

        union all

        select
            of_identity.booking_id,
            4 as precedence,
            of_identity.contact_id,
            of_identity.contacted_at,
            coalesce(of_phone.is_unique, true) as is_phone_unique
        from of_identity
        left join of_phone
            on
                of_identity.booking_id = of_phone.booking_id
                and of_identity.contact_id = of_phone.contact_id
    ) as found
    inner join bookings
        on found.booking_id = bookings.booking_id
    where
        (bookings.booked_at is not null or found.is_phone_unique)
        and {{ elapsed_us('found.contacted_at', 'bookings.agreed_at') }}
        between 0 and {{ days_us(var('lookback_days')) }}
        and not coalesce(found.contacted_at <= bookings.seen_at, false)
),

candidates as (
    select
        booking_id,
        1 as precedence,
        contact_id,
        cast(0 as bigint) as gap_us,
        contacted_at
    from named

    union all

    select
        bookings.booking_id,
        1 as precedence,
        contacts.contact_id,
        cast(0 as bigint) as gap_us,
        contacts.contacted_at
    from bookings
    inner join {{ ref('contacts') }} as contacts
        on bookings.appointment_id = contacts.appointment_ref
    where bookings.new_patient_id is null

    union all

    select
        bookings.booking_id,
        2 as precedence,
        of_phone.contact_id,
        abs({{ elapsed_us('of_phone.contacted_at', 'bookings.booked_at') }}) as gap_us,
        of_phone.contacted_at
    from bookings
    inner join of_phone
        on bookings.booking_id = of_phone.booking_id
    where
        bookings.is_time_known
        and {{ elapsed_us('of_phone.contacted_at', 'bookings.booked_at') }}
        between {{ seconds_us(-5 * 60) }} and {{ seconds_us(60 * 60) }}

    union all

    select
        booking_id,
        precedence,
        contact_id,
        gap_us,
        contacted_at
    from before_booking
),

first_found as (
    select
        booking_id,
        contact_id
    from candidates
    qualify row_number() over (
        partition by booking_id
        order by precedence, gap_us, contacted_at, contact_id
    ) = 1
),

linked as (
    select
        booking_id,
        contact_id
    from first_found

    union all

    select
        bookings.booking_id,
        evidence.contact_id
    from bookings
    inner join {{ ref('link_evidence') }} as evidence
        on
            bookings.new_patient_id = evidence.patient_id
            and evidence.is_chosen
    where evidence.contact_id is not null
)

select
    bookings.booking_id,
    linked.contact_id,
    -- what no contact explains belongs to acquisition only if the person had not been in the clinic before
    bookings.new_patient_id is null
    and (bookings.seen_at is not null or not coalesce(history.is_new_patient, true)) as is_of_existing_patient
from bookings
left join linked
    on bookings.booking_id = linked.booking_id
left join {{ ref('patient_history') }} as history
    on bookings.patient_id = history.patient_id
