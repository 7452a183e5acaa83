-- A card deleted since still has its records, and their phone.
with cards as (
    select
        source_name,
        client_id,
        phone_keys,
        email_keys,
        birth_year,
        sex,
        first_visit_at,
        1 as precedence,
        cast(null as timestamptz) as told_at,
        client_id as told_by
    from {{ source('yclients', 'clients') }}

    union all

    select
        source_name,
        client_id,
        case when phone_key is not null then [phone_key] end as phone_keys,
        case when email_key is not null then [email_key] end as email_keys,
        birth_year,
        sex,
        cast(null as timestamptz) as first_visit_at,
        2 as precedence,
        scheduled_at as told_at,
        record_id as told_by
    from {{ ref('stg_yclients__records') }}
    where client_id is not null
),

ranked as (
    select
        *,
        row_number() over (
            partition by source_name, client_id
            order by precedence asc, told_at desc, told_by asc
        ) as rank
    from cards
)

select
    source_name,
    client_id as patient_id,
    list_sort(list_distinct(flatten(list(phone_keys) filter (where phone_keys is not null)))) as phone_keys,
    list_sort(list_distinct(flatten(list(email_keys) filter (where email_keys is not null)))) as email_keys,
    min_by(birth_year, rank) filter (where birth_year is not null) as birth_year,
    min_by(sex, rank) filter (where sex is not null) as sex,
    -- YCLIENTS tells no day on which the card was opened; the first visit ever serves to know old patients by
    min(first_visit_at) as registered_at,
    cast(null as varchar) as self_reported_source,
    cast(null as varchar) as merged_into
from ranked
group by source_name, client_id
