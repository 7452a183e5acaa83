{%- set rank -%}
case events.table_kind when 'daily' then 1 when 'undeclared' then 2 else 3 end
{%- endset -%}

-- The intraday table holds a day's events until the daily table is there, and a wildcard export holds both:
-- of each day, the rows of one kind of table count.
with ranks as (
    select
        events.source_name,
        events.event_date,
        min({{ rank }}) as best
    from {{ source('ga4', 'events') }} as events
    group by events.source_name, events.event_date
)

select
    events.source_name,
    events.event_key,
    events.user_pseudo_id || '.' || events.ga_session_id as session_id,
    'ga:' || events.user_pseudo_id as visitor_id,
    events.user_ref,
    events.occurred_at,
    events.event_name,
    events.batch_page_id,
    events.batch_ordering_id,
    events.batch_event_index,
    events.session_number,
    events.is_engaged,
    events.page_host,
    events.page_path,
    -- moving about on the site is no referral
    case
        when
            regexp_replace(events.referrer_host, '^www\.', '')
            <> coalesce(regexp_replace(events.page_host, '^www\.', ''), '')
            then events.referrer_host
    end as referrer_host,
    events.page_source,
    events.page_medium,
    events.page_campaign,
    events.page_campaign_id,
    events.page_content,
    events.page_term,
    events.page_click_id_type,
    events.page_click_id,
    events.param_source,
    events.param_medium,
    events.param_campaign,
    events.param_content,
    events.param_term,
    events.collected_source,
    events.collected_medium,
    events.collected_campaign,
    events.collected_campaign_id,
    events.collected_content,
    events.collected_term,
    events.collected_gclid,
    events.ads_campaign_id,
    events.ads_campaign,
    events.manual_source,
    events.manual_medium,
    events.manual_campaign,
    events.manual_campaign_id,
    events.manual_content,
    events.manual_term,
    events.cross_source,
    events.cross_medium,
    events.cross_campaign,
    events.cross_campaign_id,
    case lower(events.device) when 'smart tv' then 'tv' else lower(events.device) end as device,
    nullif(nullif(events.city, ''), '(not set)') as city,
    nullif(nullif(events.region, ''), '(not set)') as region
from {{ source('ga4', 'events') }} as events
inner join ranks
    on
        events.source_name = ranks.source_name
        and events.event_date = ranks.event_date
where {{ rank }} = ranks.best
