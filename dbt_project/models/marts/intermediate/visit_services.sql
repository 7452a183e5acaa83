{{ config(
    schema='intermediate',
    materialized='table',
    contract={'enforced': false},
    persist_docs={'relation': false, 'columns': false},
) }}

-- What was done at every visit, completed or not: its lines; the appointment's service where it has none.
with lines as (
    select
        source_name,
        visit_id,
        -- numbered lines in their numeric order, others by name
        row_number() over (
            partition by source_name, visit_id
            order by try_cast(ltrim(line_id, '#') as bigint) nulls last, line_id
        ) as line_no,
        count(*) over (partition by source_name, visit_id) as lines_of_visit,
        nullif(trim(service), '') as service,
        doctor,
        payer_type,
        amount
    from {{ ref('visit_lines') }}
),

listed as (
    select
        visits.source_name,
        visits.visit_id,
        coalesce(lines.line_no, 1) as line_no,
        coalesce(lines.lines_of_visit, 1) as lines_of_visit,
        lines.line_no is not null as is_line,
        visits.patient_id,
        visits.visited_at,
        visits.local_date,
        visits.branch,
        case
            when lines.line_no is null then nullif(trim(appointments.service), '')
            else lines.service
        end as service,
        coalesce(lines.doctor, visits.doctor) as doctor,
        lines.payer_type,
        lines.amount,
        visits.billed as visit_billed,
        visits.is_completed
    from {{ ref('visits') }} as visits
    left join lines
        on
            visits.source_name = lines.source_name
            and visits.visit_id = lines.visit_id
    left join {{ ref('appointments') }} as appointments
        on
            visits.source_name = appointments.source_name
            and visits.appointment_id = appointments.appointment_id
),

payerless as (
    select distinct
        source_name,
        visit_id
    from listed
    where payer_type is null
),

-- where a line does not say who pays, whoever alone paid for the visit does
sole_payers as (
    select
        payerless.source_name,
        payerless.visit_id,
        min(payments.payer_type) as payer_type
    from payerless
    inner join {{ ref('payment_visits') }} as payment_visits
        on
            payerless.source_name = payment_visits.visit_source_name
            and payerless.visit_id = payment_visits.visit_id
    inner join {{ ref('payments') }} as payments
        on
            payment_visits.source_name = payments.source_name
            and payment_visits.payment_id = payments.payment_id
    group by all
    having min(payments.payer_type) = max(payments.payer_type)
)

select
    listed.source_name,
    listed.visit_id,
    listed.line_no,
    listed.lines_of_visit,
    listed.patient_id,
    listed.local_date,
    listed.is_completed,
    coalesce(listed.branch, '(unknown)') as branch,
    coalesce(
        catalogue.service_group,
        case when listed.service is null and not listed.is_line then '(none)' else '(unknown)' end
    ) as service_group,
    coalesce(
        catalogue.service,
        listed.service,
        case when listed.is_line then '(unknown)' else '(none)' end
    ) as service,
    coalesce(listed.doctor, '(unknown)') as doctor,
    case
        when journeys.patient_id is not null then journeys.clv_class
        when history.patient_id is not null then 'history_unknown'
        else '(none)'
    end as clv_class,
    case
        when not listed.is_completed then '(none)'
        when
            listed.visit_id != history.first_visit_id
            or listed.visited_at != history.first_visit_at
            then 'repeat'
        when history.is_new_patient then 'primary'
        when history.reason = 'within_history_margin' then '(unknown)'
        else 'repeat'
    end as visit_kind,
    listed.payer_type as line_payer,
    coalesce(listed.payer_type, sole_payers.payer_type, '(unknown)') as payer,
    listed.amount,
    cast(greatest(coalesce(listed.amount, 0), 0) * 100 as decimal(19, 0)) as weight,
    listed.visit_billed
from listed
left join {{ ref('service_catalogue') }} as catalogue
    on lower(listed.service) = catalogue.service_key
left join {{ ref('patient_history') }} as history
    on listed.patient_id = history.patient_id
left join {{ ref('patient_journeys') }} as journeys
    on listed.patient_id = journeys.patient_id
left join sole_payers
    on
        listed.source_name = sole_payers.source_name
        and listed.visit_id = sole_payers.visit_id
