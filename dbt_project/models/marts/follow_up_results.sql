-- who came onto the list on the evening of a day: a person once for each reason, for what happened last
with listed as (
    select
        items.reason,
        items.local_date as listed_on,
        {{ elapsed_us('items.listed_at', 'items.settled_at') }} as settled_us,
        {{ elapsed_us('items.listed_at', 'least(items.reached_at, items.settled_at)') }} as reached_us,
        as_of.as_of
    from {{ ref('follow_up_items') }} as items
    cross join {{ ref('as_of') }} as as_of
    where
        items.local_date <= as_of.as_of
        and coalesce(items.settled_at >= items.listed_at, true)
    qualify row_number() over (
        partition by items.reason, items.local_date, items.person
        order by items.happened_at desc, items.item_id asc
    ) = 1
),

counted as (
    select
        listed_on,
        reason,
        count(*) as listed,
        count(*) filter (where reached_us <= {{ seconds_us(follow_up_hours() * 3600) }}) as reached_72h,
        count(*) filter (where settled_us <= {{ seconds_us(follow_up_hours() * 3600) }}) as booked_72h,
        count(*) filter (where settled_us <= {{ days_us(follow_up_days()) }}) as booked_30d,
        coalesce(listed_on + {{ (follow_up_hours() / 24) | int }} <= max(as_of), false) as is_known_72h,
        coalesce(listed_on + {{ follow_up_days() }} <= max(as_of), false) as is_known_30d
    from listed
    group by listed_on, reason
)

select
    listed_on,
    reason,
    listed,
    case when is_known_72h then reached_72h end as reached_72h,
    case when is_known_72h then booked_72h end as booked_72h,
    case when is_known_30d then booked_30d end as booked_30d,
    case when is_known_72h then {{ ratio('reached_72h', 'listed') }} end as reached_72h_rate,
    case when is_known_30d then {{ ratio('booked_30d', 'listed') }} end as booked_30d_rate
from counted
