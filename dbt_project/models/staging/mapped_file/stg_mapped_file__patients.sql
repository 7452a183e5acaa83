{%- set has_visits = ['mapped_file', 'visits'] in var('streams') -%}
{#- Enabled where at least one of the two streams is configured. -#}
{%- set has_patients = not has_visits or ['mapped_file', 'patients'] in var('streams') -%}

with cards as (
    {% if has_patients -%}
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
    from {{ source('mapped_file', 'patients') }}
    {%- endif %}
    {% if has_patients and has_visits %}
    union all
    {% endif %}
    {% if has_visits -%}
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
        _row_number as line_number
    from {{ source('mapped_file', 'visits') }}
    where
        phone_keys is not null
        or email_keys is not null
        or birth_year is not null
        or sex is not null
        or registered_at is not null
        or self_reported_source is not null
    {%- endif %}
),

ranked as (
    select
        *,
        row_number() over (
            partition by source_name, patient_id
            order by precedence, told_at nulls last, told_by, line_number
        ) as rank
    from cards
)

-- Every number on any row is the patient's; of the rest the patient export is believed before the visits,
-- and the first visit before later ones.
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
