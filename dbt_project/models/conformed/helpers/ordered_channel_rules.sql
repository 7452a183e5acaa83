-- the clinic's own rules are tried before the defaults
with rules as (
    select
        0 as precedence,
        priority,
        platform,
        cast(null as varchar) as site_kind,
        campaign_type,
        click_id_type,
        source,
        medium,
        campaign,
        referrer,
        is_brand,
        channel,
        is_paid
    from {{ ref('stg_reference__channel_rules') }}

    union all

    select
        1 as precedence,
        priority,
        platform,
        site_kind,
        campaign_type,
        click_id_type,
        source,
        medium,
        campaign,
        referrer,
        is_brand,
        channel,
        is_paid
    from {{ ref('default_channel_rules') }}
)

select
    row_number() over (
        order by
            precedence,
            priority,
            channel,
            platform,
            source,
            medium,
            campaign,
            campaign_type,
            referrer,
            click_id_type,
            is_brand
    ) as rule_no,
    precedence = 0 as is_own,
    priority,
    nullif(trim(platform), '') as platform,
    nullif(trim(site_kind), '') as site_kind,
    nullif(trim(campaign_type), '') as campaign_type,
    nullif(trim(click_id_type), '') as click_id_type,
    nullif(source, '') as source,
    nullif(medium, '') as medium,
    nullif(campaign, '') as campaign,
    nullif(trim(referrer), '') as referrer,
    is_brand,
    trim(channel) as channel,
    is_paid
from rules
