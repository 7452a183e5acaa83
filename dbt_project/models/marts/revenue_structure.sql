{%- set grain = [
    'month', 'branch', 'service_group', 'service', 'doctor', 'clv_class', 'visit_kind', 'payer',
] -%}

with paid as (
    select
        {{ month_of('payments.local_date') }} as month,
        services.branch,
        services.service_group,
        services.service,
        services.doctor,
        services.clv_class,
        services.visit_kind,
        coalesce(payments.payer_type, '(unknown)') as payer,
        payments.amount
    from {{ ref('service_payments') }} as payments
    inner join {{ ref('visit_services') }} as services
        on
            payments.visit_source_name = services.source_name
            and payments.visit_id = services.visit_id
            and payments.line_no = services.line_no

    union all

    -- advances, and money whose visit nobody knows
    select
        {{ month_of('payments.local_date') }} as month,
        '(unknown)' as branch,
        '(none)' as service_group,
        '(none)' as service,
        '(unknown)' as doctor,
        case
            when journeys.patient_id is not null then journeys.clv_class
            when history.patient_id is not null then 'history_unknown'
            else '(none)'
        end as clv_class,
        '(none)' as visit_kind,
        coalesce(payments.payer_type, '(unknown)') as payer,
        payments.amount
    from {{ ref('payment_visits') }} as payment_visits
    inner join {{ ref('payments') }} as payments
        on
            payment_visits.source_name = payments.source_name
            and payment_visits.payment_id = payments.payment_id
    left join {{ ref('patient_history') }} as history
        on payments.patient_id = history.patient_id
    left join {{ ref('patient_journeys') }} as journeys
        on payments.patient_id = journeys.patient_id
    where payment_visits.visit_id is null
),

revenue as (
    select
        {{ grain | join(', ') }},
        sum(amount) as revenue
    from paid
    group by all
),

-- one row per visit and cell: two lines of one service are one visit
treated as (
    select
        {{ month_of('services.local_date') }} as month,
        services.branch,
        services.service_group,
        services.service,
        services.doctor,
        services.clv_class,
        services.visit_kind,
        services.payer,
        services.source_name,
        services.visit_id,
        services.patient_id,
        sum(bills.billed) as billed
    from {{ ref('visit_services') }} as services
    left join {{ ref('service_bills') }} as bills
        on
            services.source_name = bills.source_name
            and services.visit_id = bills.visit_id
            and services.line_no = bills.line_no
    where services.is_completed
    group by all
),

visits as (
    select
        {{ grain | join(', ') }},
        sum(billed) as billed,
        count(*) as visits,
        count(distinct patient_id) as patients
    from treated
    group by all
)

select
    {% for column in grain -%}
    {{ column }},
    {% endfor -%}
    cast(coalesce(revenue.revenue, 0) as decimal(18, 2)) as revenue,
    cast(coalesce(visits.billed, 0) as decimal(18, 2)) as billed,
    coalesce(visits.visits, 0) as visits,
    coalesce(visits.patients, 0) as patients
from revenue
full join visits using ({{ grain | join(', ') }})
