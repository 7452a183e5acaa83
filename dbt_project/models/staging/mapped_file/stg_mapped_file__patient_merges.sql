select
    source_name,
    patient_id,
    into_patient_id
from {{ source('mapped_file', 'patient_merges') }}
