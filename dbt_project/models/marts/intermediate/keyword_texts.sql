{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Every keyword and search term as somebody wrote it, and the form in which they are compared: lower case,
-- without marks of match types, operators, minus words and double blanks. Worked out once per text.
with texts as (
    select keyword as text
    from {{ ref('ad_spend') }}
    where report_level = 'keyword'

    union

    select term as text
    from {{ ref('web_sessions') }}

    union

    select utm_term as text
    from {{ ref('calls') }}

    union

    select utm_term as text
    from {{ ref('all_contacts') }}

    union

    select keyword as text
    from {{ ref('click_keywords') }}
),

folded as (
    select
        text,
        trim(
            regexp_replace(
                regexp_replace(
                    -- the phrase's own minus words; a mark such as ---autotargeting is no minus word
                    regexp_replace({{ origin_text('text') }}, '\s-\S+', ' ', 'g'),
                    '["\[\]!+]', ' ', 'g'
                ),
                '\s+', ' ', 'g'
            )
        ) as keyword
    from texts
    where text is not null
)

select
    text,
    keyword
from folded
where
    keyword not in ('', '(not provided)')
    -- a placeholder that the platform did not fill in
    and not regexp_full_match(keyword, '\{.*\}')
