select
    source_name,
    observed_on,
    account,
    measure,
    value,
    is_partial,
    vendor_says
from {{ source('yandex_metrica', 'totals') }}
