with named as (
    select
        channel,
        cast(null as boolean) as is_paid,
        cast(null as bigint) as rule_no
    from (
        select trim(channel) as channel from {{ ref('stg_reference__tracking_numbers') }}
        union
        select trim(channel) as channel from {{ ref('stg_reference__self_reported_map') }}
        union
        select trim(channel) as channel from {{ ref('stg_reference__channel_overrides') }}
        union
        select trim(channel) as channel from {{ ref('all_other_costs') }}
    )
    where channel <> ''

    union all

    select
        channel,
        is_paid,
        rule_no
    from {{ ref('ordered_channel_rules') }}
    where is_own

    union all

    -- after the clinic's own word
    select
        channel,
        is_paid,
        cast(1000000 as bigint) as rule_no
    from {{ ref('default_channels') }}
)

select
    channel,
    coalesce(min_by(is_paid, rule_no) filter (where is_paid is not null and rule_no is not null), false)
        as is_paid
from named
group by channel
