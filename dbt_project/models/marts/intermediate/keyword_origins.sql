{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- Sessions and contacts that advertising brought, each with the keyword that it came by.
with sessions as (
    select
        sessions.session_id,
        {{ month_of('sessions.local_date') }} as month,
        sessions.source,
        sessions.campaign,
        -- the platform's own word for the click before what a link was tagged with
        coalesce(click_texts.keyword, terms.keyword) as keyword
    from {{ ref('web_sessions') }} as sessions
    inner join {{ ref('advertised_places') }} as places
        on
            sessions.channel = places.channel
            and sessions.source = places.source
            and sessions.campaign = places.campaign
    left join {{ ref('click_keywords') }} as clicks
        on sessions.click_id = clicks.click_id
    left join {{ ref('keyword_texts') }} as click_texts
        on clicks.keyword = click_texts.text
    left join {{ ref('keyword_texts') }} as terms
        on sessions.term = terms.text
),

-- what the rows of a contact carry themselves: the row that stands for it first
contact_rows as (
    select
        contact_id,
        source_name || ':' || call_id as row_id,
        called_at as happened_at,
        utm_term,
        click_id
    from {{ ref('calls') }}
    where contact_id is not null

    union all

    select
        coalesce(folds.into_contact_id, contacts.source_name || ':' || contacts.contact_id) as contact_id,
        contacts.source_name || ':' || contacts.contact_id as row_id,
        contacts.contacted_at as happened_at,
        contacts.utm_term,
        contacts.click_id
    from {{ ref('all_contacts') }} as contacts
    left join {{ ref('contact_folds') }} as folds
        on contacts.source_name || ':' || contacts.contact_id = folds.contact_id
),

own_keywords as (
    select
        contact_rows.contact_id,
        coalesce(click_texts.keyword, terms.keyword) as keyword
    from contact_rows
    left join {{ ref('click_keywords') }} as clicks
        on contact_rows.click_id = clicks.click_id
    left join {{ ref('keyword_texts') }} as click_texts
        on clicks.keyword = click_texts.text
    left join {{ ref('keyword_texts') }} as terms
        on contact_rows.utm_term = terms.text
    where coalesce(click_texts.keyword, terms.keyword) is not null
    qualify row_number() over (
        partition by contact_rows.contact_id
        order by
            case when contact_rows.row_id = contact_rows.contact_id then 0 else 1 end,
            contact_rows.happened_at,
            contact_rows.row_id
    ) = 1
),

contacts as (
    select
        contacts.contact_id,
        {{ month_of('contacts.local_date') }} as month,
        contacts.source,
        contacts.campaign,
        -- a term speaks only for the campaign that it came with
        coalesce(
            sessions.keyword,
            case
                when contacts.own_source = contacts.source and contacts.own_campaign = contacts.campaign
                    then own_keywords.keyword
            end
        ) as keyword
    from {{ ref('contacts') }} as contacts
    inner join {{ ref('advertised_places') }} as places
        on
            contacts.channel = places.channel
            and contacts.source = places.source
            and contacts.campaign = places.campaign
    left join sessions
        on
            contacts.session_id = sessions.session_id
            and contacts.source = sessions.source
            and contacts.campaign = sessions.campaign
    left join own_keywords
        on contacts.contact_id = own_keywords.contact_id
),

found as (
    select
        session_id,
        cast(null as varchar) as contact_id,
        month,
        source,
        campaign,
        keyword
    from sessions

    union all

    select
        cast(null as varchar) as session_id,
        contact_id,
        month,
        source,
        campaign,
        keyword
    from contacts
),

-- A keyword in several ad groups of a campaign: nobody knows which of them brought the click.
of_month as (
    select
        month,
        source,
        campaign,
        keyword,
        case when count(distinct ad_group) = 1 then min(ad_group) else '(several)' end as ad_group
    from {{ ref('keyword_spend') }}
    group by all
),

of_any_month as (
    select
        source,
        campaign,
        keyword,
        case when count(distinct ad_group) = 1 then min(ad_group) else '(several)' end as ad_group
    from {{ ref('keyword_spend') }}
    group by all
)

select
    found.session_id,
    found.contact_id,
    found.month,
    found.source,
    found.campaign,
    coalesce(of_month.ad_group, of_any_month.ad_group, '(none)') as ad_group,
    coalesce(found.keyword, '(none)') as keyword
from found
left join of_month
    on
        found.month = of_month.month
        and found.source = of_month.source
        and found.campaign = of_month.campaign
        and found.keyword = of_month.keyword
left join of_any_month
    on
        found.source = of_any_month.source
        and found.campaign = of_any_month.campaign
        and found.keyword = of_any_month.keyword
