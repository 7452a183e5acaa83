-- Real money by month of payment and payer, bills by month of the visit: in equals out, to the cent.
with paid as (
    select
        {{ month_of('local_date') }} as month,
        coalesce(payer_type, '(unknown)') as payer,
        sum(amount) as amount
    from {{ ref('payments') }}
    where
        is_real_money
        and amount is not null
    group by all
),

billed as (
    select
        {{ month_of('local_date') }} as month,
        sum(billed) as amount
    from {{ ref('visits') }}
    where is_completed
    group by all
),

-- of a visit whose own bill is unknown, the lines of which it is known
billed_by_line as (
    select
        {{ month_of('visits.local_date') }} as month,
        sum(lines.amount) as amount
    from {{ ref('visits') }} as visits
    inner join {{ ref('visit_lines') }} as lines
        on
            visits.source_name = lines.source_name
            and visits.visit_id = lines.visit_id
    where
        visits.is_completed
        and visits.billed is null
    group by all
),

expected as (
    select
        'revenue' as measure,
        month,
        payer,
        amount
    from paid

    union all

    select
        'billed' as measure,
        month,
        '(all)' as payer,
        sum(amount) as amount
    from (
        select * from billed
        union all
        select * from billed_by_line
    ) as bills
    group by month
),

published as (
    select
        'revenue' as measure,
        month,
        payer,
        sum(revenue) as amount
    from {{ ref('revenue_structure') }}
    group by all

    union all

    select
        'billed' as measure,
        month,
        '(all)' as payer,
        sum(billed) as amount
    from {{ ref('revenue_structure') }}
    group by all
)

select
    measure,
    month,
    payer,
    coalesce(expected.amount, 0) as expected,
    coalesce(published.amount, 0) as published
from expected
full join published using (measure, month, payer)
where coalesce(expected.amount, 0) != coalesce(published.amount, 0)
