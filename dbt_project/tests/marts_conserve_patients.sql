-- Every new patient stands in every mart, linked or not.
with patients as (
    select
        {{ month_of('first_visit_date') }} as month,
        count(*) as new_patients,
        count(*) filter (where is_repeat) as repeat_patients
    from {{ ref('patient_journeys') }}
    group by all
),

published as (
    select
        'cost_per_patient' as mart,
        month,
        sum(new_patients) as new_patients,
        sum(repeat_patients) as repeat_patients
    from {{ ref('cost_per_patient') }}
    group by month

    union all

    select
        concat('attribution_comparison ', attribution_model) as mart,
        month,
        sum(new_patients) as new_patients,
        null as repeat_patients
    from {{ ref('attribution_comparison') }}
    where month_basis = 'first_visit'
    group by all

    union all

    select
        'monthly_summary' as mart,
        month,
        new_patients,
        null as repeat_patients
    from {{ ref('monthly_summary') }}
),

by_month as (
    select
        published.mart,
        published.month,
        published.new_patients,
        coalesce(patients.new_patients, 0) as expected,
        published.repeat_patients,
        coalesce(patients.repeat_patients, 0) as expected_repeat
    from published
    left join patients
        on published.month = patients.month
),

in_total as (
    select
        concat('attribution_comparison touch ', attribution_model) as mart,
        cast(null as date) as month,
        sum(new_patients) as new_patients,
        (select count(*) from {{ ref('patient_journeys') }}) as expected
    from {{ ref('attribution_comparison') }}
    where month_basis = 'touch'
    group by attribution_model

    union all

    select
        concat('clv_by_first_doctor ', case when cohort = 'all' then 'all' else 'years' end) as mart,
        cast(null as date) as month,
        sum(new_patients) as new_patients,
        (select count(*) from {{ ref('patient_journeys') }}) as expected
    from {{ ref('clv_by_first_doctor') }}
    group by case when cohort = 'all' then 'all' else 'years' end

    union all

    select
        'cost_per_patient' as mart,
        cast(null as date) as month,
        sum(new_patients) as new_patients,
        (select count(*) from {{ ref('patient_journeys') }}) as expected
    from {{ ref('cost_per_patient') }}
    having count(*) > 0

    union all

    select
        'coverage' as mart,
        cast(null as date) as month,
        sum(value) as new_patients,
        (select count(*) from {{ ref('patient_journeys') }}) as expected
    from {{ ref('coverage') }}
    where measure = 'patients_by_rule'
)

-- a credit is published to nine places, a row may hold many
select
    mart,
    month,
    new_patients,
    expected
from by_month
where
    abs(new_patients - expected) > 1e-6
    or abs(repeat_patients - expected_repeat) > 1e-6

union all

select
    mart,
    month,
    new_patients,
    expected
from in_total
where abs(new_patients - expected) > 1e-6
