-- Every row of the reports by keyword, and every session, contact and credit that advertising brought, stands
-- in keyword_performance once.
with expected as (
    select
        (
            select coalesce(sum(cost), 0)
            from {{ ref('ad_spend') }}
            where report_level = 'keyword'
        ) as cost,
        (
            select count(*)
            from {{ ref('web_sessions') }}
            inner join {{ ref('advertised_places') }} using (channel, source, campaign)
        ) as sessions,
        (
            select count(*)
            from {{ ref('contacts') }}
            inner join {{ ref('advertised_places') }} using (channel, source, campaign)
        ) as contacts,
        (
            select coalesce(sum({{ exact_credit('credits.credit') }}), 0)
            from {{ ref('attribution_credits') }} as credits
            inner join {{ ref('advertised_places') }} as places
                on
                    credits.channel = places.channel
                    and credits.source = places.source
                    and credits.campaign = places.campaign
            where credits.attribution_model = '{{ var("default_model") }}'
        ) as new_patients
),

published as (
    select
        coalesce(sum(cost), 0) as cost,
        coalesce(sum(sessions), 0) as sessions,
        coalesce(sum(contacts), 0) as contacts,
        coalesce(sum(new_patients), 0) as new_patients
    from {{ ref('keyword_performance') }}
)

select
    expected.cost,
    published.cost as published_cost,
    expected.sessions,
    published.sessions as published_sessions,
    expected.contacts,
    published.contacts as published_contacts,
    expected.new_patients,
    published.new_patients as published_new_patients
from expected
cross join published
where
    expected.cost != published.cost
    or expected.sessions != published.sessions
    or expected.contacts != published.contacts
    -- a credit is published to nine places, a row may hold many
    or abs(expected.new_patients - published.new_patients) > 1e-6
