{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

with words as (
    {% for word in var('tag_words') -%}
    select
        1 as precedence,
        {{ sql_text(word.pattern) }} as pattern,
        {{ sql_text(word.meaning) }} as meaning,
        cast({{ word.get('score', 'null') }} as decimal(5, 4)) as score

    union all

    {% endfor -%}
    select
        2 as precedence,
        pattern,
        meaning,
        score
    from {{ ref('call_tag_words') }}
),

tags as (
    select distinct
        contact_id,
        tag
    from (
        select
            contact_id,
            unnest(tags) as tag
        from {{ ref('calls') }}
        where contact_id is not null
    ) as unnested
    where tag is not null
),

-- a tag is `type: name`; its type says who set it, the name what it says
names as (
    select
        tag,
        trim(regexp_replace(tag, '^[^:]*: ', '')) as name
    from (select distinct tag from tags) as kinds
),

meanings as (
    select distinct
        found.tag,
        found.meaning,
        found.score
    from (
        select
            names.tag,
            words.meaning,
            words.score,
            -- where the clinic's own words know a tag, they alone say what it means
            rank() over (partition by names.tag order by words.precedence) as standing
        from names
        inner join words
            on regexp_full_match(names.name, words.pattern, 'i')
    ) as found
    where found.standing = 1
)

select
    tags.contact_id,
    bool_or(meanings.meaning = 'spam') as is_spam,
    bool_or(meanings.meaning = 'irrelevant') as is_irrelevant,
    cast(
        round(
            sum(case when meanings.meaning = 'score' then meanings.score end)
            / nullif(count(case when meanings.meaning = 'score' then 1 end), 0), 9
        ) as decimal(10, 9)
    ) as tag_score
from tags
inner join meanings
    on tags.tag = meanings.tag
group by tags.contact_id
