select
    load_id,
    source as source_name,
    stream,
    kind,
    file,
    status,
    rows_read,
    rows_landed,
    rows_duplicate,
    rows_quarantined,
    rows_skipped,
    unknown_columns,
    notes,
    started,
    finished,
    error
from {{ source('ops', 'loads') }}
