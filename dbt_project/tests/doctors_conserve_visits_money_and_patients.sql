-- By month, doctors have every completed visit, every new patient and every cent of the clinic once.
with doctors as (
    select
        month,
        sum(visits) as visits,
        sum(new_patients) as new_patients,
        sum(revenue) as revenue
    from {{ ref('doctor_performance') }}
    group by month
)

select
    month,
    doctors.visits,
    clinic.arrivals,
    doctors.new_patients,
    clinic.new_patients as clinic_new_patients,
    doctors.revenue,
    clinic.revenue as clinic_revenue
from doctors
full join {{ ref('monthly_summary') }} as clinic using (month)
where
    coalesce(doctors.visits, 0) != coalesce(clinic.arrivals, 0)
    or coalesce(doctors.new_patients, 0) != coalesce(clinic.new_patients, 0)
    or coalesce(doctors.revenue, 0) != coalesce(clinic.revenue, 0)
