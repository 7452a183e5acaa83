with credits as (
    select
        {{ month_of('journeys.first_visit_date') }} as month,
        credits.patient_id,
        credits.touch_id,
        credits.source,
        credits.campaign,
        touches.session_id,
        touches.contact_id,
        {{ exact_credit('credits.credit') }} as credit
    from {{ ref('attribution_credits') }} as credits
    inner join {{ ref('patient_journeys') }} as journeys
        on credits.patient_id = journeys.patient_id
    inner join {{ ref('advertised_places') }} as places
        on
            credits.channel = places.channel
            and credits.source = places.source
            and credits.campaign = places.campaign
    left join {{ ref('journey_touches') }} as touches
        on
            credits.patient_id = touches.patient_id
            and credits.touch_id = touches.touch_id
    where
        credits.attribution_model = '{{ var("default_model") }}'
        and credits.credit > 0
),

-- a touch came by the keyword of its session, else of its contact, else of another contact of the session
touch_keywords as (
    select
        credits.patient_id,
        credits.touch_id,
        origins.ad_group,
        origins.keyword,
        1 as precedence,
        origins.session_id as origin_id
    from credits
    inner join {{ ref('keyword_origins') }} as origins
        on
            credits.session_id = origins.session_id
            and credits.source = origins.source
            and credits.campaign = origins.campaign

    union all

    select
        credits.patient_id,
        credits.touch_id,
        origins.ad_group,
        origins.keyword,
        2 as precedence,
        origins.contact_id as origin_id
    from credits
    inner join {{ ref('keyword_origins') }} as origins
        on
            credits.contact_id = origins.contact_id
            and credits.source = origins.source
            and credits.campaign = origins.campaign

    union all

    select
        credits.patient_id,
        credits.touch_id,
        origins.ad_group,
        origins.keyword,
        3 as precedence,
        origins.contact_id as origin_id
    from credits
    inner join {{ ref('contacts') }} as contacts
        on credits.session_id = contacts.session_id
    inner join {{ ref('keyword_origins') }} as origins
        on
            contacts.contact_id = origins.contact_id
            and credits.source = origins.source
            and credits.campaign = origins.campaign
),

chosen_keywords as (
    select
        patient_id,
        touch_id,
        ad_group,
        keyword
    from touch_keywords
    where keyword != '(none)'
    qualify row_number() over (
        partition by patient_id, touch_id
        order by precedence, origin_id
    ) = 1
),

pieces as (
    select
        month,
        source,
        campaign,
        ad_group,
        keyword,
        true as is_reported,
        impressions,
        clicks,
        cost,
        0 as sessions,
        0 as contacts,
        {{ exact_credit(0) }} as new_patients
    from {{ ref('keyword_spend') }}

    union all

    select
        month,
        source,
        campaign,
        ad_group,
        keyword,
        false as is_reported,
        0 as impressions,
        0 as clicks,
        0 as cost,
        count(session_id) as sessions,
        count(contact_id) as contacts,
        {{ exact_credit(0) }} as new_patients
    from {{ ref('keyword_origins') }}
    group by month, source, campaign, ad_group, keyword

    union all

    select
        credits.month,
        credits.source,
        credits.campaign,
        coalesce(chosen_keywords.ad_group, '(none)') as ad_group,
        coalesce(chosen_keywords.keyword, '(none)') as keyword,
        false as is_reported,
        0 as impressions,
        0 as clicks,
        0 as cost,
        0 as sessions,
        0 as contacts,
        sum(credits.credit) as new_patients
    from credits
    left join chosen_keywords
        on
            credits.patient_id = chosen_keywords.patient_id
            and credits.touch_id = chosen_keywords.touch_id
    group by all
),

combined as (
    select
        month,
        source,
        campaign,
        ad_group,
        keyword,
        bool_or(is_reported) as is_reported,
        sum(impressions) as impressions,
        sum(clicks) as clicks,
        sum(cost) as cost,
        sum(sessions) as sessions,
        sum(contacts) as contacts,
        sum(new_patients) as new_patients
    from pieces
    group by month, source, campaign, ad_group, keyword
)

select
    month,
    source,
    campaign,
    ad_group,
    keyword,
    is_reported,
    '{{ var("default_model") }}' as attribution_model,
    cast(impressions as bigint) as impressions,
    cast(clicks as bigint) as clicks,
    cast(cost as decimal(18, 2)) as cost,
    cast(sessions as bigint) as sessions,
    cast(contacts as bigint) as contacts,
    {{ credit_count('new_patients') }} as new_patients,
    {{ ratio('clicks', 'impressions') }} as ctr,
    {{ money_ratio('cost', 'clicks') }} as cpc,
    -- what no report by keyword holds did not come for nothing
    case when is_reported then {{ money_ratio('cost', 'contacts') }} end as cost_per_contact,
    case when is_reported then {{ money_ratio('cost', 'new_patients') }} end as cost_per_patient
from combined
