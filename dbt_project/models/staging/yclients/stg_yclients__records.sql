-- One row per record: what its lines repeat, with the status that the conformed model knows.
with branches as (
    select
        source_name,
        min_by(title, company_id) as title
    from {{ source('yclients', 'companies') }}
    group by source_name
)

select
    records.source_name,
    records.record_id,
    -- several records share a visit; one without is a visit of its own
    coalesce(records.visit_id, records.record_id) as visit_id,
    records.client_id,
    records.phone_key,
    records.email_key,
    records.birth_year,
    records.sex,
    branches.title as branch,
    coalesce(staff.name, records.staff_name) as doctor,
    records.scheduled_at,
    records.booked_at,
    records.is_online,
    records.is_deleted,
    -- YCLIENTS has no status for a cancelled booking: it is deleted, and nobody says by whom. A record that
    -- was served and then deleted was a mistake, not a cancellation.
    case
        when records.is_deleted and records.attendance = 1 then 'entered_in_error'
        when records.is_deleted then 'cancelled_by_patient'
        when records.attendance = 2 then 'confirmed'
        when records.attendance = 1 then 'completed'
        when records.attendance = 0 then 'booked'
        when records.attendance = -1 then 'no_show'
        else 'unknown'
    end as status,
    case
        when records.is_deleted then concat('deleted, attendance ', records.attendance)
        else concat('attendance ', records.attendance)
    end as status_raw,
    records.service,
    cast(floor(records.length_s / 60) as bigint) as minutes,
    records.utm_source,
    records.utm_medium,
    records.utm_campaign,
    records.campaign_id,
    records.utm_content,
    records.utm_term,
    records.click_id_type,
    records.click_id,
    records.landing_path
from {{ source('yclients', 'records') }} as records
left join branches
    on records.source_name = branches.source_name
left join {{ source('yclients', 'staff') }} as staff
    on
        records.source_name = staff.source_name
        and records.staff_id = staff.staff_id
where records.line_no = 1
