with latest_loads as (
    select *
    from {{ ref('loads') }}
    where
        status = 'landed'
        and control_totals is not null
    -- an export that was mended or re-read speaks for itself; of an API's windows, those of the last night
    qualify
        row_number() over (partition by source_name, stream, file order by finished desc) = 1
        and (
            not starts_with(file, 'api ')
            or finished >= max(finished) over (partition by source_name, stream) - interval '12 hours'
        )
),

printed as (
    select
        source_name,
        stream,
        file,
        sums,
        unnest(map_keys(control_totals)) as label,
        unnest(map_values(control_totals)) as vendor
    from latest_loads
),

measured as (
    select
        source_name,
        stream,
        file,
        vendor,
        sums,
        case regexp_extract(label, '([^:]+)$', 1)
            when ' calls' then 'rows'
            when ' records' then 'rows'
            else trim(regexp_extract(label, '([^:]+)$', 1))
        end as measure
    from printed
),

of_loads as (
    select
        source_name,
        'load' as origin,
        stream || ': ' || file as item,
        measure,
        cast(sums[measure] as decimal(18, 2)) as ours,
        -- subtotals stand beside the total
        max(cast(vendor as decimal(18, 2))) as vendor,
        false as is_partial,
        cast(null as varchar) as vendor_says
    from measured
    where
        sums[measure] is not null
        and vendor is not null
    group by all
),

-- each source's own days: before its first row and after its last nothing can be missing
our_days as (
    select
        source_name,
        local_date as day,
        'sessions' as measure,
        count(*) as ours
    from {{ ref('web_sessions') }}
    group by all

    union all

    select
        source_name,
        local_date as day,
        'calls' as measure,
        count(*) as ours
    from {{ ref('calls') }}
    group by all

    union all

    select
        source_name,
        spend_date as day,
        'cost' as measure,
        sum(cost_native) as ours
    from {{ ref('ad_spend') }}
    where is_of_record
    group by all

    union all

    select
        source_name,
        spend_date as day,
        'clicks' as measure,
        sum(clicks) as ours
    from {{ ref('ad_spend') }}
    where is_of_record
    group by all

    union all

    select
        source_name,
        spend_date as day,
        'impressions' as measure,
        sum(impressions) as ours
    from {{ ref('ad_spend') }}
    where is_of_record
    group by all
),

spans as (
    select
        source_name,
        measure,
        min(day) as first_day,
        max(day) as last_day
    from our_days
    group by all
),

vendor_days as (
    select
        totals.source_name,
        totals.measure,
        totals.observed_on as day,
        sum(totals.value) as vendor,
        bool_or(coalesce(totals.is_partial, false)) as is_partial,
        max(totals.vendor_says) as vendor_says
    from {{ ref('all_vendor_totals') }} as totals
    inner join spans
        on
            totals.source_name = spans.source_name
            and totals.measure = spans.measure
            and totals.observed_on between spans.first_day and spans.last_day
    group by all
),

of_months as (
    select
        vendor_days.source_name,
        'days' as origin,
        strftime(date_trunc('month', vendor_days.day), '%Y-%m') as item,
        vendor_days.measure,
        cast(sum(coalesce(our_days.ours, 0)) as decimal(18, 2)) as ours,
        cast(sum(vendor_days.vendor) as decimal(18, 2)) as vendor,
        bool_or(vendor_days.is_partial) as is_partial,
        max(vendor_days.vendor_says) as vendor_says
    from vendor_days
    left join our_days
        on
            vendor_days.source_name = our_days.source_name
            and vendor_days.measure = our_days.measure
            and vendor_days.day = our_days.day
    group by all
),

compared as (
    select * from of_loads
    union all
    select * from of_months
)

select
    source_name,
    origin,
    item,
    measure,
    ours,
    vendor,
    cast(ours - vendor as decimal(18, 2)) as difference,
    is_partial,
    vendor_says,
    -- printed amounts are rounded per row; counts of sessions are estimates of the vendor's
    abs(ours - vendor) <= case
        when measure = 'sessions' then greatest(0.05 * abs(vendor), 5)
        when measure = 'cost' then greatest(0.005 * abs(vendor), 0.05)
        else 0.005 * abs(vendor)
    end as is_within_tolerance
from compared
