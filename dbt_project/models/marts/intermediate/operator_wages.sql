{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- What operators were paid in a month. One wage stands for all the branches that somebody answered for: it is
-- shared by contacts, to the cent.
with wages as (
    select
        {{ month_of('observed_on') }} as month,
        {{ operator_key('scope_value') }} as operator_key,
        sum({{ to_money('value') }}) as wage
    from {{ ref('metric_observations') }}
    where
        lower(trim(metric)) = 'wage'
        and lower(trim(scope)) = 'operator'
        and {{ operator_key('scope_value') }} is not null
    group by all
),

contacts as (
    select
        month,
        {{ operator_key('operator') }} as operator_key,
        coalesce(branch, '(unknown)') as branch,
        count(*) as contacts
    from {{ ref('enquiries') }}
    where {{ operator_key('operator') }} is not null
    group by all
),

shares as (
    select
        wages.month,
        wages.operator_key,
        -- who was paid and took no contact keeps a row
        coalesce(contacts.branch, '(unknown)') as branch,
        cast(
            cast(wages.wage as double) * coalesce(contacts.contacts, 1)
            / coalesce(sum(contacts.contacts) over (partition by wages.month, wages.operator_key), 1)
            as decimal(28, 8)
        ) as wage
    from wages
    left join contacts
        on
            wages.month = contacts.month
            and wages.operator_key = contacts.operator_key
)

{{ to_the_cent(
    'shares',
    keys=['month', 'operator_key', 'branch'],
    others=[],
    measures=['wage'],
    within=['month', 'operator_key'],
) }}
