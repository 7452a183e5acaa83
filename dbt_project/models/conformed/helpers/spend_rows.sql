{%- set vat = {'divisor': '1 + vat_rate'} if var('vat_recoverable') else {'factor': '1 + vat_rate'} -%}
with spend as (
    select
        * exclude (source, report_level, tax_basis, currency),
        coalesce(nullif(lower(trim(source)), ''), '(none)') as source,
        coalesce(
            lower(report_level),
            case
                when keyword is not null then 'keyword'
                when ad_group is not null then 'ad_group'
                when campaign_id is not null or campaign_name is not null then 'campaign'
                else 'account'
            end
        ) as report_level,
        coalesce(lower(tax_basis), 'unknown') as tax_basis,
        {{ row_currency('currency') }} as currency
    from {{ ref('all_ad_spend') }}
),

-- A campaign report is complete and names campaigns. An account report is complete. Finer ones leave out what
-- has no ad group or keyword (Performance Max, display), so they are of record only where nothing else is.
-- Decided day by day: an account whose exports changed level one month spent in the months before as well.
levels as (
    select
        source_name,
        source,
        account,
        spend_date,
        report_level
    from (
        select distinct
            source_name,
            source,
            account,
            spend_date,
            report_level
        from spend
    ) as seen
    qualify row_number() over (
        partition by source_name, source, account, spend_date
        order by
            case report_level
                when 'campaign' then 1
                when 'account' then 2
                when 'ad_group' then 3
                when 'ad' then 4
                when 'keyword' then 5
                else 6
            end,
            report_level
    ) = 1
),

taxed as (
    select
        spend.*,
        levels.report_level is not null as is_of_record,
        fx.rate as fx_rate,
        case
            when spend.tax_basis = 'excl' then {{ 'false' if var('vat_recoverable') else 'true' }}
            when spend.tax_basis = 'incl' then {{ 'true' if var('vat_recoverable') else 'false' }}
        end as is_tax_to_change,
        vat_periods.rate as vat_rate
    from spend
    left join levels
        on
            spend.source_name = levels.source_name
            and spend.source = levels.source
            and spend.spend_date = levels.spend_date
            and spend.account is not distinct from levels.account
            and spend.report_level = levels.report_level
    left join {{ ref('fx_days') }} as fx
        on
            spend.currency = fx.currency
            and spend.spend_date = fx.day
    left join {{ ref('vat_periods') }} as vat_periods
        on spend.spend_date between vat_periods.valid_from and vat_periods.valid_to
)

select
    source_name,
    spend_date,
    source,
    account,
    report_level,
    is_of_record,
    concat_ws(
        chr(31),
        source,
        coalesce(account, ''),
        coalesce(campaign_id, 'name ' || lower(trim(campaign_name)), '')
    ) as campaign_key,
    campaign_id,
    nullif(trim(campaign_name), '') as campaign_name,
    -- PERFORMANCE_MAX, Performance Max
    nullif(regexp_replace(lower(trim(campaign_type)), '[^a-z0-9]+', '_', 'g'), '') as campaign_type,
    ad_group,
    keyword,
    device,
    impressions,
    clicks,
    cost_native,
    currency,
    case
        when is_tax_to_change and vat_rate is not null
            then {{ to_clinic_money('cost_native', 'currency', 'fx_rate', **vat) }}
        else {{ to_clinic_money('cost_native', 'currency', 'fx_rate') }}
    end as cost,
    tax_basis,
    -- left as it is: nobody said what it contains, or no rate of that day is known
    is_tax_to_change is null or (is_tax_to_change and vat_rate is null) as is_tax_unknown
from taxed
