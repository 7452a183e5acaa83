with lines as (
    select
        source_name,
        visit_id,
        -- numbered lines in their numeric order, others by name
        min_by(specialty, line_order) filter (where specialty is not null) as service_line,
        min_by(service, line_order) filter (where service is not null) as first_service,
        -- the heaviest setting among the lines is the visit's
        max(case care_setting when 'surgery' then 3 when 'inpatient' then 2 when 'outpatient' then 1 end)
            as weight,
        case when count(amount) = count(*) then sum(amount) end as billed
    from (
        select
            *,
            row_number() over (
                partition by source_name, visit_id
                order by try_cast(ltrim(line_id, '#') as bigint) nulls last, line_id
            ) as line_order
        from {{ ref('visit_lines') }}
    )
    group by all
),

appointments as (
    select
        all_appointments.source_name,
        all_appointments.appointment_id,
        catalogue.care_setting,
        catalogue.specialty
    from {{ ref('all_appointments') }} as all_appointments
    inner join {{ ref('service_catalogue') }} as catalogue
        on lower(trim(all_appointments.service)) = catalogue.service_key
)

select
    visits.source_name,
    visits.visit_id,
    visits.appointment_id,
    coalesce(cards.patient_id, visits.patient_id) as patient_id,
    visits.patient_id as patient_id_raw,
    visits.visited_at,
    {{ clinic_date('visits.visited_at') }} as local_date,
    visits.branch,
    visits.room,
    visits.doctor,
    coalesce(
        visits.care_setting,
        case lines.weight when 3 then 'surgery' when 2 then 'inpatient' when 1 then 'outpatient' end,
        appointments.care_setting
    ) as care_setting,
    coalesce(lines.service_line, appointments.specialty) as service_line,
    left(visits.diagnosis, 3) as diagnosis,
    {{ known_status('visits.status', if_absent='completed') }} as status,
    visits.status_raw,
    {{ known_status('visits.status', if_absent='completed') }} = 'completed' as is_completed,
    coalesce(
        {{ to_clinic_money('visits.billed', row_currency('visits.currency'), 'fx.rate') }},
        case when visits.billed is null then cast(lines.billed as decimal(18, 2)) end
    ) as billed,
    visits.billed as billed_native,
    {{ to_clinic_money('visits.discount', row_currency('visits.currency'), 'fx.rate') }} as discount,
    visits.discount as discount_native,
    {{ row_currency('visits.currency') }} as currency,
    visits.clinic_says_primary
from {{ ref('all_visits') }} as visits
left join {{ ref('patient_cards') }} as cards
    on visits.patient_id = cards.card_id
left join lines
    on
        visits.source_name = lines.source_name
        and visits.visit_id = lines.visit_id
left join appointments
    on
        visits.source_name = appointments.source_name
        and visits.appointment_id = appointments.appointment_id
left join {{ ref('fx_days') }} as fx
    on
        {{ row_currency('visits.currency') }} = fx.currency
        and {{ clinic_date('visits.visited_at') }} = fx.day
