-- Every unique contact begins one enquiry; every enquiry, every new patient of an eligible one and every wage
-- stand in operator_performance once.
with expected as (
    select
        (
            select count(*) from {{ ref('contacts') }}
            where is_unique
        ) as unique_contacts,
        (
            select count(*) from {{ ref('patient_journeys') }} as journeys
            inner join {{ ref('contacts') }} as contacts
                on journeys.acquiring_contact_id = contacts.contact_id
            where
                contacts.phone_key is not null
                or contacts.contact_kind != 'call'
        ) as new_patients,
        (
            select coalesce(sum({{ to_money('value') }}), 0) from {{ ref('metric_observations') }}
            where
                lower(trim(metric)) = 'wage'
                and lower(trim(scope)) = 'operator'
                and trim(scope_value) != ''
        ) as wage
),

enquiries as (
    select
        count(contacts.phone_key) as unique_contacts,
        count(*) as contacts,
        coalesce(sum(enquiries.new_patients), 0) as new_patients,
        coalesce(sum(case when enquiries.standing = 'eligible' then enquiries.new_patients end), 0)
            as eligible_patients
    from {{ ref('enquiries') }} as enquiries
    inner join {{ ref('contacts') }} as contacts
        on enquiries.contact_id = contacts.contact_id
),

published as (
    select
        coalesce(sum(contacts), 0) as contacts,
        coalesce(sum(new_patients), 0) as eligible_patients,
        coalesce(sum(wage), 0) as wage
    from {{ ref('operator_performance') }}
)

select
    expected.unique_contacts,
    enquiries.unique_contacts as unique_enquiries,
    expected.new_patients,
    enquiries.new_patients as patients_of_enquiries,
    enquiries.contacts,
    published.contacts as published_contacts,
    enquiries.eligible_patients,
    published.eligible_patients as published_patients,
    expected.wage,
    published.wage as published_wage
from expected
cross join enquiries
cross join published
where
    expected.unique_contacts != enquiries.unique_contacts
    or expected.new_patients != enquiries.new_patients
    or enquiries.contacts != published.contacts
    or enquiries.eligible_patients != published.eligible_patients
    or expected.wage != published.wage
