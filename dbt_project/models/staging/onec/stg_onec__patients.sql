with cards as (
    select
        source_name,
        patient_id,
        phone_keys,
        email_keys,
        birth_year,
        sex,
        registered_at,
        self_reported_source,
        merged_into,
        1 as precedence,
        registered_at as told_at,
        patient_id as told_by,
        0 as line_number
    from {{ source('onec', 'patients') }}

    union all

    select
        source_name,
        patient_id,
        phone_keys,
        email_keys,
        birth_year,
        sex,
        registered_at,
        self_reported_source,
        cast(null as varchar) as merged_into,
        2 as precedence,
        visited_at as told_at,
        visit_id as told_by,
        line_number
    from {{ ref('stg_onec__visit_rows') }}
    where
        phone_keys is not null
        or email_keys is not null
        or birth_year is not null
        or sex is not null
        or registered_at is not null
        or self_reported_source is not null
),

ranked as (
    select
        *,
        row_number() over (
            partition by source_name, patient_id
            order by precedence asc, told_at asc nulls last, told_by asc, line_number asc
        ) as rank
    from cards
)

-- Every number on any row is the patient's; of the rest the cards are believed before the visits, and the
-- first visit before later ones.
select
    source_name,
    patient_id,
    list_sort(list_distinct(flatten(list(phone_keys) filter (where phone_keys is not null)))) as phone_keys,
    list_sort(list_distinct(flatten(list(email_keys) filter (where email_keys is not null)))) as email_keys,
    min_by(birth_year, rank) filter (where birth_year is not null) as birth_year,
    min_by(sex, rank) filter (where sex is not null) as sex,
    min_by(registered_at, rank) filter (where registered_at is not null) as registered_at,
    min_by(self_reported_source, rank) filter (
        where self_reported_source is not null
    ) as self_reported_source,
    min_by(merged_into, rank) filter (where merged_into is not null) as merged_into
from ranked
group by source_name, patient_id
