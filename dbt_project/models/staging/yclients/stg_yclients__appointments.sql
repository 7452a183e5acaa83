-- A record without a client is blocked time, or a passer-by who had booked nothing.
select
    source_name,
    record_id as appointment_id,
    client_id as patient_id,
    booked_at,
    false as booked_at_is_date,
    scheduled_at,
    status,
    status_raw,
    branch,
    cast(null as varchar) as room,
    doctor,
    service,
    minutes,
    -- the online booking is a contact of its own, which names this appointment
    cast(null as varchar) as contact_ref,
    cast(null as varchar) as visitor_id,
    cast(null as varchar) as user_ref
from {{ ref('stg_yclients__records') }}
where client_id is not null
