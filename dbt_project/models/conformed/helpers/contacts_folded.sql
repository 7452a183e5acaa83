-- one row per contact: the row that stands for it, completed by the rows folded into it
with members as (
    select
        folds.into_contact_id,
        candidates.*,
        origins.channel not in ('direct', 'unassigned') as is_origin_known,
        row_number() over (
            partition by folds.into_contact_id
            order by candidates.contacted_at, candidates.contact_id
        ) as member_rank
    from {{ ref('contact_folds') }} as folds
    inner join {{ ref('contact_candidates') }} as candidates
        on folds.contact_id = candidates.contact_id
    inner join {{ ref('origins') }} as origins
        on candidates.origin_key = origins.origin_key
),

added as (
    select
        into_contact_id,
        {%- for column in [
            'phone_key', 'email_key', 'visitor_id', 'user_ref', 'session_ref', 'operator', 'branch', 'talk_s',
            'appointment_ref', 'tracking_number_no',
        ] %}
        min_by({{ column }}, member_rank) filter (where {{ column }} is not null) as {{ column }},
        {%- endfor %}
        {%- for flag in [
            'is_answered', 'is_target', 'is_dialog', 'is_valid', 'is_contact_left', 'is_booked',
        ] %}
        bool_or({{ flag }}) as {{ flag }},
        {%- endfor %}
        -- what the lead's form knows of where the person came from, if the contact itself knows nothing
        min_by(origin_key, member_rank) filter (where is_origin_known) as origin_key,
        -- one attempt that reached the person is enough
        bool_and(is_missed) filter (where contact_kind <> 'lead') as is_missed
    from members
    group by into_contact_id
)

select
    contacts.contact_id,
    contacts.source_name,
    contacts.contact_kind,
    contacts.contacted_at,
    contacts.local_date,
    {%- for column in [
        'phone_key', 'email_key', 'visitor_id', 'user_ref', 'session_ref', 'operator', 'branch', 'talk_s',
        'appointment_ref',
    ] %}
    coalesce(contacts.{{ column }}, added.{{ column }}) as {{ column }},
    {%- endfor %}
    {%- for flag in [
        'is_answered', 'is_target', 'is_dialog', 'is_valid', 'is_contact_left', 'is_booked',
    ] %}
    case
        when coalesce(contacts.{{ flag }}, added.{{ flag }}) is not null
            then coalesce(contacts.{{ flag }}, false) or coalesce(added.{{ flag }}, false)
    end as {{ flag }},
    {%- endfor %}
    case
        when contacts.is_missed is null then added.is_missed
        else contacts.is_missed and coalesce(added.is_missed, true)
    end as is_missed,
    contacts.contact_ref,
    coalesce(contacts.tracking_number_no, added.tracking_number_no) as tracking_number_no,
    case
        when origins.channel in ('direct', 'unassigned') then coalesce(added.origin_key, contacts.origin_key)
        else contacts.origin_key
    end as origin_key
from {{ ref('contact_candidates') }} as contacts
inner join {{ ref('origins') }} as origins
    on contacts.origin_key = origins.origin_key
left join added
    on contacts.contact_id = added.into_contact_id
where not exists (
    select 1
    from {{ ref('contact_folds') }} as folds
    where folds.contact_id = contacts.contact_id
)
