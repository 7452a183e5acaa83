{{ config(materialized='view') }}

with sessions as (
    select
        * exclude (session_id),
        source_name || ':' || session_id as session_id,
        session_id as session_ref,
        -- a session of which nothing at all is known is what analytics systems call direct
        case
            when coalesce(source, medium, campaign, referrer_host, click_id) is null then '(direct)'
            else source
        end as known_source
    from {{ ref('all_web_sessions') }}
    where source_name in ({% for name in var('sessions_of_record') %}{{ sql_text(name) }}, {% endfor %}null)
)

select
    sessions.*,
    {{ origin_columns(
        source='sessions.known_source',
        medium='sessions.medium',
        campaign='sessions.campaign',
        campaign_id='sessions.campaign_id',
        content='sessions.content',
        term='sessions.term',
        click_id_type='sessions.click_id_type',
        referrer='sessions.referrer_host',
        click_campaign_key='clicks.campaign_key',
    ) }}
from sessions
left join {{ ref('click_campaigns') }} as clicks
    on sessions.click_id = clicks.click_id
