select
    source_name,
    review_id,
    reviewed_at,
    rating,
    doctor,
    branch,
    platform
from {{ source('mapped_file', 'reviews') }}
