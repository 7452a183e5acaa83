-- Lines of a visit all come from one file, so the row number orders them. A visit took place when one of
-- its lines did: the others were struck off.
select
    source_name,
    visit_id,
    coalesce(
        min_by(appointment_id, _row_number) filter (where appointment_id is not null),
        max(case when is_appointment then visit_id end)
    ) as appointment_id,
    min_by(patient_id, _row_number) as patient_id,
    min(visited_at) as visited_at,
    min_by(branch, _row_number) filter (where branch is not null) as branch,
    min_by(room, _row_number) filter (where room is not null) as room,
    min_by(doctor, _row_number) filter (where doctor is not null) as doctor,
    min_by(care_setting, _row_number) filter (where care_setting is not null) as care_setting,
    min_by(diagnosis, _row_number) filter (where diagnosis is not null) as diagnosis,
    case when bool_or(status = 'completed') then 'completed' else min_by(status, _row_number) end as status,
    coalesce(
        min_by(status_raw, _row_number) filter (where status = 'completed' and status_raw is not null),
        min_by(status_raw, _row_number) filter (where status_raw is not null)
    ) as status_raw,
    -- a sum over two currencies would be no amount; the lines keep theirs
    case when coalesce(min(currency) = max(currency), true) then sum(coalesce(amount, billed)) end as billed,
    case when coalesce(min(currency) = max(currency), true) then sum(discount) end as discount,
    min_by(currency, _row_number) filter (where currency is not null) as currency,
    min_by(clinic_says_primary, _row_number) filter (
        where clinic_says_primary is not null
    ) as clinic_says_primary
from {{ source('mapped_file', 'visits') }}
group by source_name, visit_id
