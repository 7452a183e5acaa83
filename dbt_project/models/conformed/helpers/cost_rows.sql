select
    *,
    {{ origin_columns(source='source', campaign='campaign') }}
from {{ ref('all_other_costs') }}
