-- Two places say that a card is a duplicate; the clinic's own list stands before the record system.
with recursive statements as (
    select
        trim(patient_id) as node,
        trim(into_patient_id) as next_node,
        1 as precedence
    from {{ ref('stg_reference__patient_merges') }}

    union all

    select
        patient_id as node,
        merged_into as next_node,
        2 as precedence
    from {{ ref('all_patients') }}
    where merged_into is not null
),

edges as (
    select
        node,
        next_node
    from statements
    where node <> next_node
    qualify row_number() over (partition by node order by precedence, next_node) = 1
),

{{ resolve_chains('edges') }}

select
    node as card_id,
    final_node as patient_id
from resolved
