select
    source_name,
    review_id,
    -- an edited review keeps the day on which it was first written
    reviewed_at,
    rating,
    -- Google's reviews are of a place
    cast(null as varchar) as doctor,
    branch,
    'google' as platform
from {{ source('google_reviews', 'reviews') }}
