-- What a reader gets by subtracting: of every table by CLV class, the shown total of a value or class less
-- its shown cells. It is nothing where all cells are shown, else five patients or more, in two cells or more.
-- Age bands are taken within child and adult too, where that is shown.
with shown as (
    select
        breakdown,
        child_adult,
        clv_class,
        -- an age band's name may be (other) twice
        concat(child_adult, '/', age_band, '/', sex, '/', diagnosis_group, '/', first_doctor) as value,
        new_patients,
        is_suppressed
    from {{ ref('patient_structure') }}
),

cells as (
    select *
    from shown
    where breakdown like '%_by_clv_class'
),

tables as (
    select
        cells.breakdown,
        concat('value ', cells.value) as line,
        cells.value,
        cells.clv_class,
        cells.new_patients,
        cells.is_suppressed,
        totals.new_patients as total
    from cells
    inner join shown as totals
        on
            cells.breakdown = concat(totals.breakdown, '_by_clv_class')
            and cells.value = totals.value

    union all

    select
        cells.breakdown,
        concat('class ', cells.clv_class) as line,
        cells.value,
        cells.clv_class,
        cells.new_patients,
        cells.is_suppressed,
        totals.new_patients as total
    from cells
    inner join shown as totals
        on
            totals.breakdown = 'clv_class'
            and cells.clv_class = totals.clv_class

    union all

    select
        cells.breakdown,
        concat('class ', cells.clv_class, ' of ', cells.child_adult) as line,
        cells.value,
        cells.clv_class,
        cells.new_patients,
        cells.is_suppressed,
        totals.new_patients as total
    from cells
    inner join shown as totals
        on
            totals.breakdown = 'child_adult_by_clv_class'
            and cells.child_adult = totals.child_adult
            and cells.clv_class = totals.clv_class
    where
        cells.breakdown = 'age_band_by_clv_class'
        and not totals.is_suppressed
)

select
    breakdown,
    line,
    min(total) - coalesce(sum(new_patients), 0) as hidden_patients,
    count(*) filter (where is_suppressed) as hidden_cells
from tables
group by all
having
    (
        count(*) filter (where is_suppressed) = 0
        and min(total) != coalesce(sum(new_patients), 0)
    )
    or (
        count(*) filter (where is_suppressed) > 0
        and (
            min(total) - coalesce(sum(new_patients), 0) < 5
            or count(*) filter (where is_suppressed) < 2
        )
    )
