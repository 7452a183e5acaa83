{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Where advertising brings sessions, contacts and patients: campaigns of ad_spend, and paid channels.
with places as (
    select
        channel,
        source,
        campaign
    from {{ ref('web_sessions') }}

    union

    select
        channel,
        source,
        campaign
    from {{ ref('contacts') }}

    union

    select
        channel,
        source,
        campaign
    from {{ ref('attribution_credits') }}
),

known_campaigns as (
    select distinct
        source,
        campaign
    from {{ ref('campaigns') }}
)

select
    places.channel,
    places.source,
    places.campaign
from places
left join {{ ref('channels') }} as channels
    on places.channel = channels.channel
left join known_campaigns
    on
        places.source = known_campaigns.source
        and places.campaign = known_campaigns.campaign
where
    known_campaigns.campaign is not null
    or channels.is_paid
