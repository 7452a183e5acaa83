-- one row per contact: the row that stands for it, completed by the rows folded into it
with members as (
    select
        folds.into_contact_id,
        candidates.*,
        row_number() over (
            partition by folds.into_contact_id
            order by candidates.contacted_at, candidates.contact_id
        ) as member_rank
    from {{ ref('contact_folds') }} as folds
    inner join {{ ref('contact_candidates') }} as candidates
        on folds.contact_id = candidates.contact_id
),

added as (
    select
        into_contact_id,
        {%- for column in [
            'phone_key', 'email_key', 'visitor_id', 'user_ref', 'session_ref', 'operator', 'branch', 'talk_s',
            'appointment_ref',
        ] %}
        min_by({{ column }}, member_rank) filter (where {{ column }} is not null) as {{ column }},
        {%- endfor %}
        {%- for flag in [
            'is_answered', 'is_target', 'is_dialog', 'is_valid', 'is_contact_left', 'is_booked',
        ] %}
        bool_or({{ flag }}) as {{ flag }},
        {%- endfor %}
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
    contacts.is_missed and coalesce(added.is_missed, true) as is_missed,
    contacts.contact_ref,
    contacts.tracking_number_no,
    contacts.origin_key
from {{ ref('contact_candidates') }} as contacts
left join added
    on contacts.contact_id = added.into_contact_id
where not exists (
    select 1
    from {{ ref('contact_folds') }} as folds
    where folds.contact_id = contacts.contact_id
)
