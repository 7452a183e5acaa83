{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- What a completed visit was billed, by its lines, in proportion to their amounts.
with billed as (
    select
        source_name,
        visit_id,
        line_no,
        visit_billed,
        weight
    from {{ ref('visit_services') }}
    where
        is_completed
        and visit_billed is not null
        and lines_of_visit > 1
)

{{ divide_by_weight(
    'billed',
    columns=['source_name', 'visit_id', 'line_no'],
    amount='visit_billed',
    weight='weight',
    within=['source_name', 'visit_id'],
    ties=['line_no'],
    share='billed',
) }}

union all

-- a visit whose own amount is unknown: the lines of which it is known
select
    source_name,
    visit_id,
    line_no,
    amount as billed
from {{ ref('visit_services') }}
where
    is_completed
    and visit_billed is null
    and amount is not null

union all

select
    source_name,
    visit_id,
    line_no,
    visit_billed as billed
from {{ ref('visit_services') }}
where
    is_completed
    and visit_billed is not null
    and lines_of_visit = 1
