-- Every new patient is shared out whole by every model: neither lost nor counted twice.
with models as (
    {% for model in attribution_models() -%}
    select '{{ model }}' as attribution_model
    {{ "union all" if not loop.last }}
    {% endfor -%}
),

expected as (
    select
        patients.patient_id,
        models.attribution_model
    from {{ ref('patient_journeys') }} as patients
    cross join models
),

actual as (
    select
        patient_id,
        attribution_model,
        sum(credit) as credit,
        min(credit) as least_credit
    from {{ ref('attribution_credits') }}
    group by all
)

select
    coalesce(expected.patient_id, actual.patient_id) as patient_id,
    coalesce(expected.attribution_model, actual.attribution_model) as attribution_model,
    actual.credit,
    actual.least_credit
from expected
full join actual
    on
        expected.patient_id = actual.patient_id
        and expected.attribution_model = actual.attribution_model
where
    expected.patient_id is null
    or actual.patient_id is null
    or abs(actual.credit - 1) > 1e-9
    or actual.least_credit < 0
