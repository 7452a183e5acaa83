{%- set columns = origin_column_names() -%}
-- Every distinct origin of a session, call, contact, tracking number or cost line, with the campaign it is
-- matched to and its channel. This and `ad_campaigns` are the only places where a channel is decided.
with tuples as (
    {%- for model in [
        'session_rows', 'call_rows', 'contact_candidates', 'tracking_number_rows', 'cost_rows',
    ] %}
    select {{ columns | join(', ') }} from {{ ref(model) }}
    {{ 'union' if not loop.last }}
    {%- endfor %}
),

names as (
    select origin_source as value from tuples
    union
    select origin_referrer as value from tuples
),

{{ site_lookup('names') }},

located as (
    select
        tuples.*,
        -- the click id tells the platform of a source that nobody knows
        coalesce(
            by_source.platform,
            case
                when tuples.origin_click_id_type in ('gclid', 'gbraid', 'wbraid') then 'google'
                when tuples.origin_click_id_type = 'yclid' then 'yandex'
                when tuples.origin_click_id_type = 'fbclid' then 'facebook'
                when tuples.origin_click_id_type = 'msclkid' then 'bing'
                when tuples.origin_click_id_type = 'ttclid' then 'tiktok'
                when tuples.origin_click_id_type = 'bd_vid' then 'baidu'
            end,
            nullif(tuples.origin_source, '')
        ) as platform,
        by_source.platform is not null or tuples.origin_click_id_type <> '' as is_platform_known,
        coalesce(
            by_source.site_kind,
            case when tuples.origin_source = '' then by_referrer.site_kind end,
            ''
        ) as site_kind
    from tuples
    left join sites as by_source
        on tuples.origin_source = by_source.value
    left join sites as by_referrer
        on tuples.origin_referrer = by_referrer.value
),

-- a campaign's id may be given, be the whole utm_campaign, or stand in a template such as brand|12345678
id_candidates as (
    select
        origin_key,
        platform,
        is_platform_known,
        origin_campaign_id as campaign_id
    from located
    union
    select
        origin_key,
        platform,
        is_platform_known,
        origin_content_campaign_id as campaign_id
    from located
    union
    select
        origin_key,
        platform,
        is_platform_known,
        origin_campaign as campaign_id
    from located
    union
    select
        origin_key,
        platform,
        is_platform_known,
        unnest(regexp_extract_all(origin_campaign, '[0-9]{5,}')) as campaign_id
    from located
),

aliases as (
    select
        lower(trim(alias)) as alias_key,
        min(lower(trim(campaign))) as name_key,
        min_by(trim(campaign), lower(trim(campaign))) as campaign
    from {{ ref('stg_reference__campaign_aliases') }}
    group by alias_key
),

matches as (
    select
        located.origin_key,
        'click_id' as matched_by,
        1 as precedence,
        located.origin_click_campaign_key as campaign_key,
        1 as preference
    from located
    where located.origin_click_campaign_key <> ''

    union all

    select
        id_candidates.origin_key,
        'campaign_id' as matched_by,
        2 as precedence,
        campaigns.campaign_key,
        row_number() over (
            partition by id_candidates.origin_key
            order by
                id_candidates.platform = campaigns.platform desc,
                campaigns.last_spend_date desc,
                campaigns.campaign_key asc
        ) as preference
    from id_candidates
    inner join {{ ref('ad_campaigns') }} as campaigns
        on
            id_candidates.campaign_id = campaigns.campaign_id
            -- ids are unique within a platform only
            and (id_candidates.platform = campaigns.platform or not id_candidates.is_platform_known)
    where id_candidates.campaign_id <> ''

    union all

    select
        located.origin_key,
        'name' as matched_by,
        3 as precedence,
        campaign_names.campaign_key,
        campaign_names.preference
    from located
    inner join {{ ref('campaign_names') }} as campaign_names
        on
            located.platform = campaign_names.platform
            and lower(located.origin_campaign) = campaign_names.name_key

    union all

    -- an alias is the clinic's own word, so it may lead to another platform's campaign
    select
        located.origin_key,
        'alias' as matched_by,
        4 as precedence,
        campaign_names.campaign_key,
        row_number() over (
            partition by located.origin_key
            order by
                located.platform is not distinct from campaign_names.platform desc,
                campaign_names.last_named_on desc,
                campaign_names.campaign_key asc
        ) as preference
    from located
    inner join aliases
        on lower(located.origin_campaign) = aliases.alias_key
    inner join {{ ref('campaign_names') }} as campaign_names
        on aliases.name_key = campaign_names.name_key
),

matched as (
    select
        origin_key,
        matched_by,
        campaign_key
    from matches
    qualify row_number() over (
        partition by origin_key
        order by precedence, preference, campaign_key
    ) = 1
),

rule_inputs as (
    select
        located.origin_key as input_key,
        '' as platform,
        located.site_kind,
        '' as campaign_type,
        located.origin_click_id_type as click_id_type,
        located.origin_source as source,
        located.origin_medium as medium,
        located.origin_campaign as campaign,
        located.origin_referrer as referrer,
        {{ has_brand_term('located.origin_campaign') }}
        or (
            located.origin_is_brand_term
            and {{ is_paid_origin('located.origin_medium', 'located.origin_click_id_type') }}
        ) as is_brand
    from located
    where
        not exists (
            select 1
            from matched
            where matched.origin_key = located.origin_key
        )
),

{{ apply_channel_rules('rule_inputs') }}

select
    located.origin_key,
    located.origin_source,
    located.origin_medium,
    located.origin_campaign,
    coalesce(campaigns.channel, ruled.channel, 'unassigned') as channel,
    coalesce(campaigns.source, nullif(located.origin_source, ''), '(none)') as source,
    -- an alias renames a campaign of the cost sheet too, which ad_spend does not know
    coalesce(campaigns.campaign, aliases.campaign, nullif(located.origin_campaign, ''), '(none)') as campaign,
    campaigns.campaign_id,
    matched.matched_by as campaign_matched_by
from located
left join matched
    on located.origin_key = matched.origin_key
left join {{ ref('ad_campaigns') }} as campaigns
    on matched.campaign_key = campaigns.campaign_key
left join ruled
    on located.origin_key = ruled.input_key
left join aliases
    on lower(located.origin_campaign) = aliases.alias_key
