select
    lower(trim(service)) as service_key,
    trim(service) as service,
    nullif(trim({{ quoted('group') }}), '') as service_group,
    lower(nullif(trim(care_setting), '')) as care_setting,
    nullif(trim(specialty), '') as specialty,
    list_price,
    margin_share
from {{ ref('stg_reference__services') }}
where trim(service) <> ''
-- a service listed twice: the line that says more
qualify row_number() over (
    partition by lower(trim(service))
    order by specialty nulls last, care_setting nulls last, {{ quoted('group') }} nulls last
) = 1
