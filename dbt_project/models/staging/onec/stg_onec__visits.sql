-- A visit took place when one of its lines did: the others were struck off.
select
    source_name,
    visit_id,
    coalesce(
        min_by(appointment_id, line_number) filter (where appointment_id is not null),
        max(case when is_appointment then visit_id end)
    ) as appointment_id,
    min_by(patient_id, line_number) as patient_id,
    min(visited_at) as visited_at,
    min_by(branch, line_number) filter (where branch is not null) as branch,
    min_by(room, line_number) filter (where room is not null) as room,
    min_by(doctor, line_number) filter (where doctor is not null) as doctor,
    min_by(care_setting, line_number) filter (where care_setting is not null) as care_setting,
    min_by(diagnosis, line_number) filter (where diagnosis is not null) as diagnosis,
    case when bool_or(status = 'completed') then 'completed' else min_by(status, line_number) end as status,
    coalesce(
        min_by(status_raw, line_number) filter (where status = 'completed' and status_raw is not null),
        min_by(status_raw, line_number) filter (where status_raw is not null)
    ) as status_raw,
    sum(amount) as billed,
    sum(discount) as discount,
    max(currency) as currency,
    min_by(clinic_says_primary, line_number) filter (
        where clinic_says_primary is not null
    ) as clinic_says_primary
from {{ ref('stg_onec__visit_rows') }}
group by source_name, visit_id
