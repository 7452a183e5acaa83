{{ config(schema='intermediate', materialized='table') }}

with journeys as (
    select
        'patient:' || patient_id as journey_id,
        touch_id,
        touched_at,
        channel,
        true as is_converted
    from {{ ref('journey_touches') }}

    union all

    select
        'null:' || journey_id as journey_id,
        touch_id,
        touched_at,
        channel,
        false as is_converted
    from {{ ref('null_journeys') }}
)

select
    from_state,
    to_state,
    transitions
from ({{ count_transitions('journeys') }}) as counted
