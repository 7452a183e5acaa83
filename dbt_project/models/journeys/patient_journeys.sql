{%- set horizons = [30, 90, 180, 365] -%}

with patients as (
    select *
    from {{ ref('patient_history') }}
    where is_new_patient
),

acquiring as (
    select
        patient_id,
        contact_id,
        rule
    from {{ ref('link_evidence') }}
    where is_chosen
),

touches as (
    select
        patient_id,
        count(*) as touches,
        count(contact_id) as contacts,
        min(touched_at) as first_touch_at
    from {{ ref('journey_touches') }}
    group by patient_id
),

-- a model that shares the credit shows the touch with most of it, the later one of equals
main_credits as (
    select
        patient_id,
        touch_id,
        channel,
        source,
        campaign,
        channel_before_override
    from {{ ref('attribution_credits') }}
    where
        attribution_model = '{{ var("default_model") }}'
        and credit > 0
    qualify row_number() over (
        partition by patient_id
        order by round(credit, 9) desc, touched_at desc, touch_id desc
    ) = 1
),

visits as (
    select
        patient_id,
        count(*) as visits,
        count(distinct local_date) as visit_days,
        bool_or(coalesce(care_setting in ('inpatient', 'surgery'), false)) as has_surgery
    from {{ ref('visits') }}
    where is_completed
    group by patient_id
),

payments as (
    select
        patients.patient_id,
        payments.visit_id = patients.first_visit_id as is_first_visit,
        {{ elapsed_us('patients.first_visit_at', 'payments.paid_at') }} as us_after,
        payments.amount
    from {{ ref('payments') }} as payments
    inner join patients
        on payments.patient_id = patients.patient_id
    where payments.is_real_money
),

revenue as (
    select
        patient_id,
        sum(amount) filter (where is_first_visit) as revenue_first_visit,
        {% for days in horizons -%}
        sum(amount) filter (where us_after < {{ days_us(days) }}) as revenue_{{ days }}d,
        {% endfor -%}
        sum(amount) as revenue_to_date
    from payments
    group by patient_id
)

select
    patients.patient_id,
    patients.first_visit_at,
    patients.first_visit_date,
    patients.first_visit_id,
    patients.first_doctor,
    patients.branch,
    patients.service_line,
    patients.converted_at,
    acquiring.contact_id as acquiring_contact_id,
    acquiring.rule as acquiring_rule,
    coalesce(touches.touches, 0) as touches,
    coalesce(touches.contacts, 0) as contacts,
    touches.first_touch_at,
    cast(
        floor(
            cast({{ elapsed_us('touches.first_touch_at', 'patients.converted_at') }} as double)
            / {{ days_us(1) }}
        ) as bigint
    ) as days_from_first_touch,
    main_credits.channel,
    main_credits.source,
    main_credits.campaign,
    main_credits.touch_id as channel_touch_id,
    main_credits.channel_before_override,
    overrides.decided_by as override_by,
    overrides.decided_on as override_on,
    overrides.reason as override_reason,
    visits.visits,
    visits.visit_days,
    visits.visit_days >= 2 as is_repeat,
    case
        when visits.has_surgery then 'surgical'
        when visits.visit_days >= 2 then 'returning'
        else 'one_time'
    end as clv_class,
    cast(coalesce(revenue.revenue_first_visit, 0) as decimal(18, 2)) as revenue_first_visit,
    {% for days in horizons -%}
    cast(
        case
            when patients.first_visit_date + {{ days }} <= as_of.as_of
                then coalesce(revenue.revenue_{{ days }}d, 0)
        end as decimal(18, 2)
    ) as revenue_{{ days }}d,
    {% endfor -%}
    cast(coalesce(revenue.revenue_to_date, 0) as decimal(18, 2)) as revenue_to_date
from patients
cross join {{ ref('as_of') }} as as_of
inner join acquiring
    on patients.patient_id = acquiring.patient_id
inner join main_credits
    on patients.patient_id = main_credits.patient_id
inner join visits
    on patients.patient_id = visits.patient_id
left join {{ ref('patient_overrides') }} as overrides
    on patients.patient_id = overrides.patient_id
left join touches
    on patients.patient_id = touches.patient_id
left join revenue
    on patients.patient_id = revenue.patient_id
