{{ config(schema='intermediate', materialized='table') }}

select
    identities.patient_id,
    web_sessions.session_id,
    web_sessions.started_at,
    web_sessions.channel,
    web_sessions.source,
    web_sessions.campaign
from {{ ref('patient_identities') }} as identities
inner join {{ ref('patient_history') }} as patient_history
    on identities.patient_id = patient_history.patient_id
inner join {{ ref('web_sessions') }} as web_sessions
    on identities.identity = web_sessions.visitor_id
where
    identities.identity_kind = 'visitor'
    and {{ elapsed_us('web_sessions.started_at', 'patient_history.converted_at') }}
    between 0 and {{ days_us(var('lookback_days')) }}
