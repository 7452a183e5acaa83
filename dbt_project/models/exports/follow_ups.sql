with open_items as (
    select
        items.*,
        {{ elapsed_us('items.happened_at', end_of_clinic_day('as_of.as_of')) }} as age_us,
        as_of.as_of
    from {{ ref('follow_up_items') }} as items
    cross join {{ ref('as_of') }} as as_of
    where
        items.settled_at is null
        and items.local_date <= as_of.as_of
        and {{ elapsed_us('items.happened_at', end_of_clinic_day('as_of.as_of')) }}
        < {{ days_us(follow_up_days()) }}
    -- nobody is rung up twice for one thing
    qualify row_number() over (
        partition by items.reason, items.person
        order by items.happened_at desc, items.item_id asc
    ) = 1
)

select
    open_items.as_of,
    row_number() over (order by open_items.happened_at desc, open_items.item_id asc) as position,
    open_items.age_us < {{ seconds_us(follow_up_hours() * 3600) }} as is_new,
    open_items.reason,
    timezone('{{ var("timezone") }}', open_items.happened_at) as happened_at,
    open_items.source_name,
    open_items.appointment_id,
    appointments.patient_id_raw as patient_id,
    -- the source's own, without the name of the source before it
    substr(contacts.contact_id, length(contacts.source_name) + 2) as contact_id,
    contacts.contact_kind,
    coalesce(appointments.branch, contacts.branch) as branch,
    appointments.doctor,
    appointments.service,
    contacts.operator,
    coalesce(contacts.is_existing_patient, history.patient_id is not null) as is_existing_patient,
    timezone('{{ var("timezone") }}', open_items.last_reached_at) as last_reached_at
from open_items
left join {{ ref('appointments') }} as appointments
    on
        open_items.source_name = appointments.source_name
        and open_items.appointment_id = appointments.appointment_id
left join {{ ref('contacts') }} as contacts
    on open_items.contact_id = contacts.contact_id
left join {{ ref('patient_history') }} as history
    on appointments.patient_id = history.patient_id
