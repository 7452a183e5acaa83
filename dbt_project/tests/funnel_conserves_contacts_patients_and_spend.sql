-- Every contact, session and cent, and every new patient, linked or not, stands in the funnel once.
with expected as (
    select
        (select count(*) from {{ ref('contacts') }}) as records,
        (select count(*) from {{ ref('web_sessions') }}) as sessions,
        (select count(*) from {{ ref('patient_journeys') }}) as new_patients,
        (select coalesce(sum(cost), 0) from {{ ref('daily_costs') }}) as cost
),

published as (
    select
        coalesce(sum(records), 0) as records,
        coalesce(sum(sessions), 0) as sessions,
        coalesce(sum(new_patients), 0) as new_patients,
        coalesce(sum(cost), 0) as cost
    from {{ ref('acquisition_funnel') }}
)

select
    expected.records,
    published.records as published_records,
    expected.sessions,
    published.sessions as published_sessions,
    expected.new_patients,
    published.new_patients as published_new_patients,
    expected.cost,
    published.cost as published_cost
from expected
cross join published
where
    expected.records != published.records
    or expected.sessions != published.sessions
    or expected.new_patients != published.new_patients
    or expected.cost != published.cost
