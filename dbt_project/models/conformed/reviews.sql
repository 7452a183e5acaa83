select
    *,
    {{ clinic_date('reviewed_at') }} as local_date
from {{ ref('all_reviews') }}
