-- A patient is whoever any record names, also a visit or booking of a card that no patient export carries.
with mentioned as (
    select
        source_name,
        patient_id_raw as patient_id
    from {{ ref('visits') }}

    union

    select
        source_name,
        patient_id_raw as patient_id
    from {{ ref('appointments') }}

    union

    select
        source_name,
        patient_id
    from {{ ref('all_payments') }}
),

cards as (
    select
        source_name,
        patient_id,
        phone_keys,
        email_keys,
        birth_year,
        sex,
        registered_at,
        self_reported_source,
        1 as precedence
    from {{ ref('all_patients') }}

    union all

    select
        source_name,
        patient_id,
        cast(null as varchar[]) as phone_keys,
        cast(null as varchar[]) as email_keys,
        cast(null as bigint) as birth_year,
        cast(null as varchar) as sex,
        cast(null as timestamptz) as registered_at,
        cast(null as varchar) as self_reported_source,
        2 as precedence
    from mentioned
    where patient_id is not null
),

-- the card that stays speaks first, then the one opened first
ranked as (
    select
        cards.*,
        coalesce(moved.patient_id, cards.patient_id) as final_patient_id,
        row_number() over (
            partition by coalesce(moved.patient_id, cards.patient_id)
            order by
                cards.precedence asc,
                moved.patient_id is not null asc,
                cards.registered_at asc nulls last,
                cards.source_name asc,
                cards.patient_id asc
        ) as card_rank,
        row_number() over (
            partition by coalesce(moved.patient_id, cards.patient_id)
            order by
                cards.registered_at asc nulls last,
                cards.precedence asc,
                moved.patient_id is not null asc,
                cards.source_name asc,
                cards.patient_id asc
        ) as age_rank
    from cards
    left join {{ ref('patient_cards') }} as moved
        on cards.patient_id = moved.card_id
)

select
    min_by(source_name, card_rank) as source_name,
    final_patient_id as patient_id,
    list_sort(list_distinct(flatten(list(phone_keys) filter (where phone_keys is not null)))) as phone_keys,
    list_sort(list_distinct(flatten(list(email_keys) filter (where email_keys is not null)))) as email_keys,
    min_by(birth_year, card_rank) filter (where birth_year is not null) as birth_year,
    min_by(sex, card_rank) filter (where sex is not null) as sex,
    min(registered_at) as registered_at,
    -- what was said when the first card was opened is nearest to the fact
    min_by(self_reported_source, age_rank) filter (
        where trim(self_reported_source) <> ''
    ) as self_reported_source
from ranked
group by final_patient_id
