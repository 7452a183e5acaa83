-- Every breakdown that hides nothing holds all new patients and all their revenue; none is missing.
with expected as (
    select
        count(*) as new_patients,
        coalesce(sum(revenue_to_date), 0) as revenue
    from {{ ref('patient_journeys') }}
),

breakdowns as (
    select 'total' as breakdown
    {% for trait in ['child_adult', 'age_band', 'sex', 'diagnosis_group', 'first_doctor'] -%}
    union all
    select '{{ trait }}' as breakdown
    union all
    select '{{ trait }}_by_clv_class' as breakdown
    {% endfor -%}
    union all
    select 'clv_class' as breakdown
),

published as (
    select
        breakdown,
        bool_or(is_suppressed) as hides_some,
        sum(new_patients) as new_patients,
        sum(revenue) as revenue
    from {{ ref('patient_structure') }}
    group by breakdown
)

select
    breakdowns.breakdown,
    published.new_patients,
    expected.new_patients as expected_patients,
    published.revenue,
    expected.revenue as expected_revenue
from breakdowns
cross join expected
left join published
    on breakdowns.breakdown = published.breakdown
where
    (expected.new_patients >= 5 and published.breakdown is null)
    or (
        not published.hides_some
        and (published.new_patients != expected.new_patients or published.revenue != expected.revenue)
    )
