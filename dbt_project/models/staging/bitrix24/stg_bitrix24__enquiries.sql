-- Leads, and deals as what they became. A deal that names its lead is that enquiry: it is folded into the
-- lead by its reference, as a lead is into the call that it names.
with leads as (
    select
        source_name,
        'L_' || lead_id as contact_id,
        created_at,
        contact_id as person_id,
        'STATUS' as stage_list,
        status_id as stage_id,
        source_id,
        responsible_id,
        responsible,
        phone_key,
        email_key,
        is_valid,
        is_booked,
        visitor_id,
        user_ref,
        session_ref,
        branch,
        appointment_ref,
        contact_ref,
        callback_ref,
        utm_source,
        utm_medium,
        utm_campaign,
        campaign_id,
        utm_content,
        utm_term,
        click_id_type,
        click_id,
        landing_path,
        referrer_host
    from {{ source('bitrix24', 'leads') }}
),

sources_with_leads as (
    select distinct source_name
    from {{ source('bitrix24', 'leads') }}
),

deals as (
    select
        deals.source_name,
        'D_' || deals.deal_id as contact_id,
        deals.created_at,
        deals.contact_id as person_id,
        'DEAL_STAGE' as stage_list,
        deals.stage_id,
        deals.source_id,
        deals.responsible_id,
        deals.responsible,
        deals.phone_key,
        deals.email_key,
        deals.is_valid,
        deals.is_booked,
        deals.visitor_id,
        deals.user_ref,
        deals.session_ref,
        deals.branch,
        deals.appointment_ref,
        coalesce(deals.source_name || ':L_' || deals.lead_id, deals.contact_ref) as contact_ref,
        -- through its lead, if it has one
        case when deals.lead_id is null then deals.callback_ref end as callback_ref,
        deals.utm_source,
        deals.utm_medium,
        deals.utm_campaign,
        deals.campaign_id,
        deals.utm_content,
        deals.utm_term,
        deals.click_id_type,
        deals.click_id,
        deals.landing_path,
        deals.referrer_host
    from {{ source('bitrix24', 'deals') }} as deals
    left join sources_with_leads
        on deals.source_name = sources_with_leads.source_name
    where
        deals.is_enquiry
        -- an export names the lead by its title only: beside the leads themselves it would count twice
        and not (
            deals.is_from_lead and deals.lead_id is null and sources_with_leads.source_name is not null
        )
)

select * from leads
union all
select * from deals
