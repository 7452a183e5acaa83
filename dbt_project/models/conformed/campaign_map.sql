-- the clinic's list, under the names that costs, sessions and contacts really have
with names as (
    select campaign from {{ ref('ad_campaigns') }}
    union
    select campaign from {{ ref('origins') }}
    union
    select trim(campaign) as campaign from {{ ref('stg_reference__campaign_map') }}
),

mapped as (
    select
        lower(trim(campaign)) as name_key,
        min(nullif(trim(branch), '')) as branch,
        min(nullif(trim(service_line), '')) as service_line,
        min(nullif(trim(budget_role), '')) as budget_role
    from {{ ref('stg_reference__campaign_map') }}
    group by name_key
)

select
    names.campaign,
    mapped.branch,
    mapped.service_line,
    mapped.budget_role
from names
inner join mapped
    on lower(names.campaign) = mapped.name_key
