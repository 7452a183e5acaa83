with cohorts as (
    select
        {{ month_of('first_visit_date') }} as month,
        coalesce(first_doctor, '(unknown)') as doctor,
        coalesce(branch, '(unknown)') as branch,
        count(*) as new_patients,
        count(*) filter (where is_repeat) as repeat_patients,
        sum(visits) - count(*) as later_visits,
        sum(revenue_first_visit) as revenue_first_visit,
        sum(revenue_90d) as revenue_90d,
        sum(revenue_365d) as revenue_365d,
        sum(revenue_to_date) as revenue_to_date
    from {{ ref('patient_journeys') }}
    group by all
),

treated as (
    select
        {{ month_of('local_date') }} as month,
        coalesce(doctor, '(unknown)') as doctor,
        coalesce(branch, '(unknown)') as branch,
        count(*) as visits
    from {{ ref('visits') }}
    where is_completed
    group by all
),

unknown_histories as (
    select
        {{ month_of('first_visit_date') }} as month,
        coalesce(first_doctor, '(unknown)') as doctor,
        coalesce(branch, '(unknown)') as branch,
        count(*) as history_unknown_visits
    from {{ ref('patient_history') }}
    -- who was registered before, or is no primary patient to the clinic, had been seen before
    where reason = 'within_history_margin'
    group by all
),

money as (
    select
        month,
        doctor,
        branch,
        sum(revenue) as revenue
    from {{ ref('revenue_structure') }}
    group by all
),

-- of what is planned only the days that have passed: visits and money are of those
shift_time as (
    select
        {{ month_of('capacity_hours.local_date') }} as month,
        capacity_hours.doctor,
        coalesce(capacity_hours.branch, '(unknown)') as branch,
        sum(capacity_hours.held_us) as shift_us
    from {{ ref('capacity_hours') }} as capacity_hours
    cross join {{ ref('as_of') }} as as_of
    where
        capacity_hours.measure = 'maximum'
        and capacity_hours.doctor is not null
        and capacity_hours.local_date <= as_of.as_of
    group by all
),

month_ratings as (
    select
        {{ month_of('local_date') }} as month,
        doctor,
        branch,
        count(*) as ratings,
        sum(cast(rating as decimal(9, 4))) as rating_sum
    from {{ ref('reviews') }}
    where
        doctor is not null
        and rating is not null
    group by all
),

rows_known as (
    {% for part in ['cohorts', 'treated', 'money', 'shift_time', 'month_ratings'] -%}
    select
        month,
        doctor,
        branch
    from {{ part }}
    where branch is not null
    {{ "union distinct" if not loop.last }}
    {% endfor %}
),

-- a review that names no branch speaks of the doctor everywhere
ratings as (
    select
        month_ratings.month,
        month_ratings.doctor,
        coalesce(month_ratings.branch, rows_known.branch, '(unknown)') as branch,
        sum(month_ratings.ratings) as ratings,
        sum(month_ratings.rating_sum) as rating_sum
    from month_ratings
    left join rows_known
        on
            month_ratings.branch is null
            and month_ratings.month = rows_known.month
            and month_ratings.doctor = rows_known.doctor
    group by all
),

combined as (
    select
        month,
        doctor,
        branch,
        coalesce(cohorts.new_patients, 0) as new_patients,
        coalesce(cohorts.repeat_patients, 0) as repeat_patients,
        coalesce(cohorts.later_visits, 0) as later_visits,
        coalesce(cohorts.revenue_first_visit, 0) as revenue_first_visit,
        cohorts.revenue_90d,
        cohorts.revenue_365d,
        coalesce(cohorts.revenue_to_date, 0) as revenue_to_date,
        coalesce(treated.visits, 0) as visits,
        coalesce(unknown_histories.history_unknown_visits, 0) as history_unknown_visits,
        coalesce(money.revenue, 0) as revenue,
        shift_time.shift_us,
        coalesce(ratings.ratings, 0) as ratings,
        ratings.rating_sum
    from rows_known
    full join ratings using (month, doctor, branch)
    left join cohorts using (month, doctor, branch)
    left join treated using (month, doctor, branch)
    left join unknown_histories using (month, doctor, branch)
    left join money using (month, doctor, branch)
    left join shift_time using (month, doctor, branch)
)

select
    combined.month,
    combined.doctor,
    combined.branch,
    combined.new_patients,
    combined.repeat_patients,
    case
        when cast(last_day(combined.month) as date) + 90 <= as_of.as_of
            then {{ ratio('combined.repeat_patients', 'combined.new_patients') }}
    end as repeat_rate,
    cast(combined.later_visits as bigint) as later_visits,
    {{ ratio('combined.later_visits', 'combined.new_patients') }} as later_visits_per_new_patient,
    cast(combined.revenue_first_visit as decimal(18, 2)) as revenue_first_visit,
    {{ money_ratio('combined.revenue_to_date', 'combined.new_patients') }} as clv_to_date_avg,
    case
        when cast(last_day(combined.month) as date) + 90 <= as_of.as_of
            then {{ money_ratio('combined.revenue_90d', 'combined.new_patients') }}
    end as clv_90d_avg,
    case
        when cast(last_day(combined.month) as date) + 365 <= as_of.as_of
            then {{ money_ratio('combined.revenue_365d', 'combined.new_patients') }}
    end as clv_365d_avg,
    combined.visits,
    combined.visits - combined.new_patients - combined.history_unknown_visits as repeat_visits,
    combined.history_unknown_visits,
    {{ ratio(
        'combined.visits - combined.new_patients - combined.history_unknown_visits', 'combined.new_patients'
    ) }} as repeats_per_new_patient,
    cast(combined.revenue as decimal(18, 2)) as revenue,
    {{ ratio('combined.shift_us', seconds_us(3600)) }} as shift_hours,
    {{ money_ratio('combined.revenue', ratio('combined.shift_us', seconds_us(3600))) }}
        as revenue_per_shift_hour,
    {{ ratio('combined.rating_sum', 'combined.ratings') }} as avg_rating,
    cast(combined.ratings as bigint) as ratings,
    lifetime.quadrant
from combined
cross join {{ ref('as_of') }} as as_of
left join {{ ref('clv_by_first_doctor') }} as lifetime
    on
        combined.doctor = lifetime.doctor
        and combined.branch = lifetime.branch
        and lifetime.cohort = 'all'
