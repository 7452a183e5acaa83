select max(local_date) as as_of
from {{ ref('visits') }}
where is_completed
