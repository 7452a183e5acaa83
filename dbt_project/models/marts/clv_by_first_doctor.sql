with journeys as (
    select
        coalesce(journeys.first_doctor, '(unknown)') as doctor,
        coalesce(journeys.branch, '(unknown)') as branch,
        cast(year(journeys.first_visit_date) as varchar) as first_year,
        journeys.is_repeat,
        journeys.visits,
        journeys.revenue_first_visit,
        journeys.revenue_to_date,
        journeys.first_visit_date + 90 <= as_of.as_of as is_mature_90d,
        journeys.revenue_90d,
        journeys.revenue_365d
    from {{ ref('patient_journeys') }} as journeys
    cross join {{ ref('as_of') }} as as_of
),

cohorts as (
    select
        *,
        'all' as cohort
    from journeys

    union all

    select
        *,
        first_year as cohort
    from journeys
),

groups as (
    select
        doctor,
        branch,
        cohort,
        count(*) as new_patients,
        count(*) filter (where is_repeat) as repeat_patients,
        count(*) filter (where is_mature_90d) as mature_patients_90d,
        count(*) filter (where is_mature_90d and is_repeat) as mature_repeat_patients,
        sum(visits) as visits,
        sum(revenue_first_visit) as revenue_first_visit,
        sum(revenue_to_date) as revenue_to_date,
        -- of decimals it would cut off the half cent
        median(cast(revenue_to_date as double)) as revenue_to_date_median,
        sum(revenue_90d) as revenue_90d,
        -- n, the sum and the sum of squares: what averages and variances need, as exact decimals
        count(revenue_365d) as n,
        cast(coalesce(sum(revenue_365d), 0) as decimal(38, 2)) as total,
        cast(
            coalesce(sum(cast(revenue_365d as decimal(19, 2)) * revenue_365d), 0) as decimal(38, 4)
        ) as squares
    from cohorts
    group by all
),

-- sum of squared deviations within each group; (n · Σx² − (Σx)²) is exact, one division follows
deviations as (
    select
        *,
        case when n > 0 then cast((n * squares - total * total) / n as decimal(38, 6)) end as squares_within
    from groups
),

-- one-way analysis of variance over the groups with mature patients
sums as (
    select
        cohort,
        count(*) as group_count,
        sum(n) as patients,
        sum(total) as total,
        sum(squares) as squares,
        sum(squares_within) as squares_within,
        sum(n * n) as squared_sizes
    from deviations
    where n > 0
    group by cohort
),

mean_squares as (
    select
        cohort,
        cast(total as double) / patients as mean,
        cast(squares_within as double) / nullif(patients - group_count, 0) as within_variance,
        (cast(patients * squares - total * total as double) / patients - cast(squares_within as double))
        / nullif(group_count - 1, 0) as between_mean_square,
        (patients - cast(squared_sizes as double) / patients) / nullif(group_count - 1, 0) as typical_size
    from sums
),

moments as (
    select
        cohort,
        mean,
        within_variance,
        (between_mean_square - within_variance) / typical_size as between_variance
    from mean_squares
),

ratings as (
    select
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

-- a review that names no branch speaks of the doctor everywhere
group_ratings as (
    select
        deviations.doctor,
        deviations.branch,
        deviations.cohort,
        sum(ratings.ratings) as ratings,
        cast(sum(ratings.rating_sum) as double) / sum(ratings.ratings) as avg_rating
    from deviations
    inner join ratings
        on
            deviations.doctor = ratings.doctor
            and coalesce(ratings.branch, deviations.branch) = deviations.branch
    group by all
),

measured as (
    select
        deviations.*,
        case
            when deviations.n = 0 then null
            -- no variance between the doctors, or none that can be told from chance: the common mean
            when coalesce(moments.between_variance, 0) <= 0 then moments.mean
            else (
                cast(deviations.total as double)
                + moments.within_variance / moments.between_variance * moments.mean
            ) / (deviations.n + moments.within_variance / moments.between_variance)
        end as shrunk,
        cast(deviations.total as double) / nullif(deviations.n, 0) as mean_365d,
        case
            when deviations.n >= 5
                then
                    {{ student_t_975('(deviations.n - 1)') }}
                    * sqrt(cast(deviations.squares_within as double) / (deviations.n - 1) / deviations.n)
        end as half_width,
        coalesce(group_ratings.ratings, 0) as ratings,
        group_ratings.avg_rating
    from deviations
    left join moments
        on deviations.cohort = moments.cohort
    left join group_ratings
        on
            deviations.doctor = group_ratings.doctor
            and deviations.branch = group_ratings.branch
            and deviations.cohort = group_ratings.cohort
),

-- the medians are taken over the doctors that stand in a quadrant at all
medians as (
    select
        cohort,
        median(shrunk) as median_clv,
        median(avg_rating) as median_rating
    from measured
    where
        ratings >= 5
        and shrunk is not null
    group by cohort
)

select
    measured.doctor,
    measured.branch,
    measured.cohort,
    measured.new_patients,
    measured.repeat_patients,
    measured.mature_patients_90d,
    {{ ratio('measured.mature_repeat_patients', 'measured.mature_patients_90d') }} as repeat_rate,
    {{ ratio('measured.visits', 'measured.new_patients') }} as visits_per_patient,
    {{ money_ratio('measured.revenue_to_date', 'measured.new_patients') }} as clv_to_date_avg,
    {{ to_money('measured.revenue_to_date_median') }} as clv_to_date_median,
    {{ money_ratio('measured.revenue_90d', 'measured.mature_patients_90d') }} as clv_90d_avg,
    measured.n as mature_patients_365d,
    {{ to_money('measured.mean_365d') }} as clv_365d_avg,
    {{ to_money('measured.shrunk') }} as clv_365d_shrunk,
    {{ to_money('measured.mean_365d - measured.half_width') }} as clv_365d_low,
    {{ to_money('measured.mean_365d + measured.half_width') }} as clv_365d_high,
    {{ ratio('measured.revenue_first_visit', 'measured.revenue_to_date') }} as first_visit_revenue_share,
    measured.avg_rating,
    cast(measured.ratings as bigint) as ratings,
    case
        when measured.ratings < 5 or measured.shrunk is null then null
        else concat(
            case when measured.shrunk >= medians.median_clv then 'high_clv_' else 'low_clv_' end,
            case when measured.avg_rating >= medians.median_rating then 'high_rating' else 'low_rating' end
        )
    end as quadrant
from measured
left join medians
    on measured.cohort = medians.cohort
