select
    source_name,
    patient_id,
    phone_keys,
    email_keys,
    birth_year,
    sex,
    registered_at,
    cast(null as varchar) as self_reported_source,
    cast(null as varchar) as merged_into
from {{ source('open_dental', 'patients') }}
where coalesce(status, '') <> 'Deleted'
