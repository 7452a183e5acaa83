select phone_key
from {{ ref('stg_reference__own_numbers') }}
where phone_key is not null

union

select phone_key
from {{ ref('stg_reference__tracking_numbers') }}
where phone_key is not null
