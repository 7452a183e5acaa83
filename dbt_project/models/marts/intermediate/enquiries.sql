{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

with ordered as (
    select
        *,
        -- who left no number is told apart by address or browser, at worst by the contact itself
        coalesce(phone_key, email_key, visitor_id, contact_id) as person,
        lag(contacted_at) over (
            partition by coalesce(phone_key, email_key, visitor_id, contact_id)
            order by contacted_at, contact_id
        ) as previous_at
    from {{ ref('contacts') }}
    -- of a withheld number nobody knows whether it called before
    where
        phone_key is not null
        or contact_kind != 'call'
),

started as (
    select
        *,
        case
            when phone_key is not null then is_unique
            else
                previous_at is null
                or {{ elapsed_us('previous_at', 'contacted_at') }} > {{ days_us(var('unique_days')) }}
        end as is_start
    from ordered
),

numbered as (
    select
        *,
        sum(case when is_start then 1 else 0 end) over (
            partition by person
            order by contacted_at, contact_id
            rows between unbounded preceding and current row
        ) as enquiry_no
    from started
),

bookings as (
    select
        contact_id,
        count(*) as bookings,
        count(*) filter (where is_due) as bookings_due,
        count(*) filter (where is_kept) as arrivals
    from {{ ref('funnel_booking_places') }}
    where contact_id is not null
    group by contact_id
),

new_patients as (
    select
        acquiring_contact_id as contact_id,
        count(*) as new_patients
    from {{ ref('patient_journeys') }}
    where acquiring_contact_id is not null
    group by acquiring_contact_id
),

-- what came of the contact that began the enquiry, and of those that followed it
outcomes as (
    select
        numbered.person,
        numbered.enquiry_no,
        coalesce(sum(bookings.bookings), 0) > 0
        or coalesce(sum(new_patients.new_patients), 0) > 0
        or coalesce(bool_or(numbered.is_booked), false) as is_booked,
        coalesce(sum(bookings.bookings_due), 0) as bookings_due,
        coalesce(sum(bookings.arrivals), 0) as arrivals,
        coalesce(sum(new_patients.new_patients), 0) as new_patients
    from numbered
    left join bookings
        on numbered.contact_id = bookings.contact_id
    left join new_patients
        on numbered.contact_id = new_patients.contact_id
    group by all
)

select
    starts.contact_id,
    starts.contacted_at,
    {{ month_of('starts.local_date') }} as month,
    {{ clinic_hour('starts.contacted_at') }} as hour_of_day,
    {{ weekday_of('starts.local_date') }} as weekday,
    coalesce(starts.channel, 'unassigned') as channel,
    coalesce(starts.source, '(none)') as source,
    coalesce(starts.campaign, '(none)') as campaign,
    nullif(trim(starts.operator), '') as operator,
    nullif(trim(starts.branch), '') as branch,
    starts.is_first,
    coalesce(starts.is_missed, false) as is_missed,
    starts.recovered_at is not null as is_recovered,
    coalesce(starts.is_contact_left, false) as is_contact_left,
    tags.tag_score,
    case
        when tags.is_spam then 'spam'
        when tags.is_irrelevant then 'irrelevant'
        -- a call is no worse for being short, which makes it invalid, and nobody judged what was missed
        when starts.is_target is null and not starts.is_valid and not coalesce(starts.is_missed, false)
            then 'irrelevant'
        when starts.is_existing_patient and outcomes.new_patients = 0 then 'existing_patient'
        else 'eligible'
    end as standing,
    outcomes.is_booked,
    cast(outcomes.bookings_due as bigint) as bookings_due,
    cast(outcomes.arrivals as bigint) as arrivals,
    cast(outcomes.new_patients as bigint) as new_patients
from numbered as starts
inner join outcomes
    on
        starts.person = outcomes.person
        and starts.enquiry_no = outcomes.enquiry_no
left join {{ ref('contact_tags') }} as tags
    on starts.contact_id = tags.contact_id
where starts.is_start
