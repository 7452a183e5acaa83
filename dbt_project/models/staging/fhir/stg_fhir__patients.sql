select
    source_name,
    patient_id,
    phone_keys,
    email_keys,
    birth_year,
    sex,
    -- FHIR has no date on which the card was opened, and none for what the patient said
    cast(null as timestamptz) as registered_at,
    cast(null as varchar) as self_reported_source,
    merged_into
from {{ source('fhir', 'patients') }}
where not coalesce(is_deleted, false)
