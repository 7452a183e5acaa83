select
    row_number()
        over (order by number, valid_from, valid_to, channel, source, campaign)
        as tracking_number_no,
    regexp_replace(number, '[^0-9]', '', 'g') as digits,
    phone_key,
    nullif(trim(channel), '') as channel,
    coalesce(valid_from, cast('0001-01-01' as date)) as valid_from,
    coalesce(valid_to, cast('9999-12-31' as date)) as valid_to,
    {{ origin_columns(source='source', campaign='campaign') }}
from {{ ref('stg_reference__tracking_numbers') }}
