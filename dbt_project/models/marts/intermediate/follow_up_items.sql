{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Everything that belonged on a list of follow-ups at some time, and what came of it.
with no_shows as (
    select
        concat('appointment:', source_name, ':', appointment_id) as item_id,
        'no_show' as reason,
        concat('patient:', coalesce(patient_id, concat(source_name, ':', appointment_id))) as person,
        scheduled_at as happened_at,
        local_date,
        source_name,
        appointment_id,
        cast(null as varchar) as contact_id
    from {{ ref('appointments') }}
    where
        status = 'no_show'
        and scheduled_at is not null
),

people as (
    select
        *,
        -- who left no number is told apart by address or browser, at worst by the contact itself
        concat('person:', coalesce(phone_key, email_key, visitor_id, contact_id)) as person
    from {{ ref('contacts') }}
),

not_booked as (
    select
        concat('contact:', people.contact_id) as item_id,
        'not_booked' as reason,
        people.person,
        people.contacted_at as happened_at,
        people.local_date,
        people.source_name,
        cast(null as varchar) as appointment_id,
        people.contact_id
    from people
    left join {{ ref('contact_tags') }} as tags
        on people.contact_id = tags.contact_id
    where
        people.is_valid
        and not coalesce(people.is_booked, false)
        and people.appointment_ref is null
        and not coalesce(tags.is_spam or tags.is_irrelevant, false)
        -- nobody can ring a withheld number back
        and (people.phone_key is not null or people.contact_kind <> 'call')
),

items as (
    select * from no_shows
    union all
    select * from not_booked
),

-- what a patient agreed to come for: from when on that was known, and until when it lay ahead
agreed as (
    select
        patient_id,
        least(coalesce(booked_at, scheduled_at), scheduled_at) as agreed_at,
        scheduled_at as ahead_until,
        scheduled_at as day_over_at
    from {{ ref('appointments') }}
    where
        patient_id is not null
        and scheduled_at is not null
        and status <> 'entered_in_error'

    union all

    select
        patient_id,
        visited_at as agreed_at,
        visited_at as ahead_until,
        {{ end_of_clinic_day('local_date') }} as day_over_at
    from {{ ref('visits') }}
    where is_completed
),

phones as (
    select distinct
        patient_id,
        phone_key
    from {{ ref('patient_phones') }}
    where is_linking
),

settlements as (
    select
        concat('patient:', patient_id) as person,
        agreed_at,
        -- who came at another hour of the day did not miss it
        day_over_at as ahead_until
    from agreed

    union all

    select
        concat('person:', phones.phone_key) as person,
        agreed.agreed_at,
        agreed.ahead_until
    from agreed
    inner join phones
        on agreed.patient_id = phones.patient_id

    union all

    -- bookings that a contact brought, by phone or otherwise, and those that its own source tells of
    select
        people.person,
        greatest(coalesce(bookings.agreed_at, people.contacted_at), people.contacted_at) as agreed_at,
        people.contacted_at as ahead_until
    from people
    left join {{ ref('funnel_booking_contacts') }} as links
        on people.contact_id = links.contact_id
    left join {{ ref('funnel_bookings') }} as bookings
        on links.booking_id = bookings.booking_id
    where
        people.is_booked
        or people.appointment_ref is not null
        or links.booking_id is not null
),

-- somebody of the clinic spoke with the person: an answered call back, or a contact that was not missed
reaches as (
    select
        concat('person:', phone_key) as person,
        phone_key,
        called_at as reached_at
    from {{ ref('calls') }}
    where
        direction in ('callback', 'outbound')
        and is_answered
        and phone_key is not null

    union all

    select
        person,
        phone_key,
        contacted_at as reached_at
    from people
    where not coalesce(is_missed, false)
),

reaches_of_people as (
    select
        person,
        reached_at
    from reaches

    union all

    select
        concat('patient:', phones.patient_id) as person,
        reaches.reached_at
    from reaches
    inner join phones
        on reaches.phone_key = phones.phone_key
),

-- Every event beside every item of the person, in order of time. A booking entered up to five minutes before
-- the contact is the contact's; one of the very instant of a missed appointment does not replace it.
timeline as (
    select
        person,
        item_id,
        happened_at,
        happened_at as looks_back_at,
        case
            when reason = 'not_booked' then happened_at - interval 5 minute
            else happened_at + interval 1 microsecond
        end as looks_ahead_at,
        {{ end_of_clinic_day('local_date') }} as listed_at,
        cast(null as timestamptz) as agreed_at,
        cast(null as timestamptz) as ahead_until,
        cast(null as timestamptz) as reached_at
    from items

    union all

    select
        person,
        cast(null as varchar) as item_id,
        agreed_at as happened_at,
        agreed_at as looks_back_at,
        agreed_at as looks_ahead_at,
        agreed_at as listed_at,
        agreed_at,
        ahead_until,
        cast(null as timestamptz) as reached_at
    from settlements

    union all

    select
        person,
        cast(null as varchar) as item_id,
        reached_at as happened_at,
        reached_at as looks_back_at,
        reached_at as looks_ahead_at,
        reached_at as listed_at,
        cast(null as timestamptz) as agreed_at,
        cast(null as timestamptz) as ahead_until,
        reached_at
    from reaches_of_people
),

-- of one instant events stand before the items that look back, and after those that look ahead
found as (
    select
        item_id,
        happened_at,
        max(ahead_until) over (
            partition by person
            order by looks_back_at, case when item_id is null then 0 else 1 end
            rows between unbounded preceding and current row
        ) as ahead_until,
        min(agreed_at) over (
            partition by person
            order by looks_ahead_at, case when item_id is null then 1 else 0 end
            rows between current row and unbounded following
        ) as next_agreed_at,
        min(reached_at) over (
            partition by person
            order by listed_at, case when item_id is null then 1 else 0 end
            rows between current row and unbounded following
        ) as reached_at,
        max(reached_at) over (partition by person) as last_reached_at
    from timeline
    -- most people never were on a list, and need no order
    where person in (select items.person from items)
)

select
    items.item_id,
    items.reason,
    items.person,
    items.happened_at,
    items.local_date,
    {{ end_of_clinic_day('items.local_date') }} as listed_at,
    items.source_name,
    items.appointment_id,
    items.contact_id,
    case
        when found.ahead_until > found.happened_at then found.happened_at
        when found.next_agreed_at < found.happened_at then found.happened_at
        else found.next_agreed_at
    end as settled_at,
    found.reached_at,
    case when found.last_reached_at > found.happened_at then found.last_reached_at end as last_reached_at
from items
inner join found
    on items.item_id = found.item_id
