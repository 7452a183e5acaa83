-- Rows of a telephone exchange that are the same call as a tracked one: the exchange's own id says so, or the
-- caller, direction and time (two minutes) do. A tracked call may have several legs; a leg has one call.
with calls as (
    select
        source_name,
        call_id,
        called_at,
        coalesce(direction, 'inbound') as direction,
        phone_key,
        pbx_ref,
        coalesce(is_pbx, false) as is_pbx,
        -- slots as wide as the tolerance: a match lies in the same slot or a neighbour
        epoch_us(called_at) // {{ seconds_us(120) }} as slot
    from {{ ref('all_calls') }}
),

legs as (
    select *
    from calls
    where is_pbx
),

tracked as (
    select *
    from calls
    where not is_pbx
),

named_ids as (
    select
        source_name,
        call_id,
        call_id as pbx_id
    from legs
    union
    select
        source_name,
        call_id,
        pbx_ref as pbx_id
    from legs
    where pbx_ref is not null
),

matches as (
    select
        named_ids.source_name,
        named_ids.call_id,
        tracked.source_name as into_source_name,
        tracked.call_id as into_call_id,
        0 as precedence,
        cast(0 as bigint) as gap_us,
        tracked.called_at
    from named_ids
    inner join tracked
        on named_ids.pbx_id = tracked.pbx_ref

    union all

    select
        legs.source_name,
        legs.call_id,
        tracked.source_name as into_source_name,
        tracked.call_id as into_call_id,
        1 as precedence,
        abs({{ elapsed_us('tracked.called_at', 'legs.called_at') }}) as gap_us,
        tracked.called_at
    from legs
    cross join (values (-1), (0), (1)) as neighbours (step)
    inner join tracked
        on
            legs.phone_key = tracked.phone_key
            -- what the tracker dials back for somebody comes in at the exchange
            and (legs.direction = tracked.direction or tracked.direction = 'callback')
            and legs.slot + neighbours.step = tracked.slot
    where abs({{ elapsed_us('tracked.called_at', 'legs.called_at') }}) <= {{ seconds_us(120) }}
)

select
    source_name,
    call_id,
    into_source_name,
    into_call_id,
    gap_us
from matches
qualify row_number() over (
    partition by source_name, call_id
    order by precedence, gap_us, called_at, into_source_name, into_call_id
) = 1
