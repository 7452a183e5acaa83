with latest as (
    select
        campaign_key,
        source,
        account,
        campaign_id,
        min_by(campaign_name, name_rank) filter (where campaign_name is not null) as campaign_name,
        min_by(campaign_type, name_rank) filter (where campaign_type is not null) as campaign_type,
        max(spend_date) as last_spend_date
    from (
        select
            *,
            row_number() over (
                partition by campaign_key
                order by spend_date desc, is_of_record desc, campaign_name asc, campaign_type asc
            ) as name_rank
        from {{ ref('spend_rows') }}
    )
    group by all
),

names as (
    select source as value
    from latest
),

{{ site_lookup('names') }},

rule_inputs as (
    select
        latest.campaign_key as input_key,
        latest.source as platform,
        coalesce(sites.site_kind, '') as site_kind,
        coalesce(latest.campaign_type, '') as campaign_type,
        '' as click_id_type,
        latest.source,
        -- what ad_spend holds was paid for: a rule over source and medium meets the campaign and its sessions
        'cpc' as medium,
        coalesce(latest.campaign_name, '') as campaign,
        '' as referrer,
        {{ has_brand_term('latest.campaign_name') }} as is_brand
    from latest
    left join sites
        on latest.source = sites.value
),

{{ apply_channel_rules('rule_inputs') }}

select
    latest.campaign_key,
    latest.source,
    coalesce(sites.platform, latest.source) as platform,
    latest.account,
    latest.campaign_id,
    coalesce(latest.campaign_name, latest.campaign_id) as campaign,
    latest.campaign_type,
    latest.last_spend_date,
    coalesce(ruled.channel, 'unassigned') as channel
from latest
left join sites
    on latest.source = sites.value
left join ruled
    on latest.campaign_key = ruled.input_key
