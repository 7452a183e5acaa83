-- Which legs are one call: those of one linkedid; where the exchange records none, those of one calling
-- channel, and with them the Local channels opened for the same caller while the call was going on.
with referable as (
    select
        *,
        coalesce(linkedid, uniqueid) as given_ref,
        coalesce(linkedid, uniqueid, channel_ref, leg_key) as line_ref
    from {{ source('asterisk_cdr', 'legs') }}
),

numbered as (
    select
        *,
        -- a channel's records follow one another; after a restart its name may come again
        case
            when
                started_at <= max(ended_at) over (
                    partition by source_name, line_ref
                    order by started_at, leg_key
                    rows between unbounded preceding and 1 preceding
                ) + interval '1 minute'
                then 0
            else 1
        end as begins
    from referable
),

runs as (
    select
        *,
        sum(begins) over (
            partition by source_name, line_ref
            order by started_at, leg_key
            rows between unbounded preceding and current row
        ) as run
    from numbered
),

referred as (
    select
        * exclude (line_ref, begins, run),
        coalesce(
            given_ref,
            first_value(leg_key) over (
                partition by source_name, line_ref, run
                order by started_at, leg_key
                rows between unbounded preceding and unbounded following
            )
        ) as ref
    from runs
),

refs as (
    select
        source_name,
        ref,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        bool_and(is_local) as is_local,
        bool_or(linkedid is not null) as is_linked,
        min_by(phone_key, started_at) filter (where phone_key is not null) as phone_key,
        bool_or(direction = 'inbound') as is_inbound
    from referred
    group by source_name, ref
),

parents as (
    select
        children.source_name,
        children.ref,
        parents.ref as parent_ref
    from refs as children
    inner join refs as parents
        on
            children.source_name = parents.source_name
            -- a withheld number is the same caller as far as this moment goes
            and coalesce(children.phone_key, '') = coalesce(parents.phone_key, '')
            and children.started_at between parents.started_at and parents.ended_at
            and parents.is_inbound
            and not parents.is_local
    where
        children.is_local
        and not children.is_linked
        and children.is_inbound
    qualify row_number() over (
        partition by children.source_name, children.ref
        order by parents.started_at desc, parents.ref asc
    ) = 1
)

select
    referred.source_name,
    coalesce(parents.parent_ref, referred.ref) as call_id,
    referred.leg_key,
    referred.uniqueid,
    referred.started_at,
    referred.ended_at,
    referred.answered_at,
    referred.created_at,
    referred.linked_at,
    referred.billsec_s,
    referred.disposition,
    referred.direction,
    referred.reached,
    referred.is_local,
    referred.phone_key,
    referred.tracking_number,
    referred.agent,
    referred.has_recording
from referred
left join parents
    on
        referred.source_name = parents.source_name
        and referred.ref = parents.ref
