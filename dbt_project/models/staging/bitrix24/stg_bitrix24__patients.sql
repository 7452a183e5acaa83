-- Where the portal keeps the patient's number, the phones and e-mails of the lead, deal or contact that names
-- it are the patient's too.
with named as (
    select
        source_name,
        patient_id,
        phone_keys,
        email_keys,
        contact_id
    from {{ source('bitrix24', 'leads') }}
    where patient_id is not null

    union all

    select
        source_name,
        patient_id,
        phone_keys,
        email_keys,
        contact_id
    from {{ source('bitrix24', 'deals') }}
    where patient_id is not null

    union all

    select
        source_name,
        patient_id,
        phone_keys,
        email_keys,
        contact_id
    from {{ source('bitrix24', 'contacts') }}
    where patient_id is not null
),

held as (
    select
        source_name,
        patient_id,
        phone_keys,
        email_keys
    from named

    union all

    -- the contact of a lead or deal that names the patient
    select
        named.source_name,
        named.patient_id,
        people.phone_keys,
        people.email_keys
    from named
    inner join {{ source('bitrix24', 'contacts') }} as people
        on
            named.source_name = people.source_name
            and named.contact_id = people.contact_id
),

patients as (
    select distinct
        source_name,
        patient_id
    from named
),

phones as (
    select
        source_name,
        patient_id,
        list_sort(list_distinct(flatten(list(phone_keys)))) as phone_keys
    from held
    where phone_keys is not null
    group by source_name, patient_id
),

emails as (
    select
        source_name,
        patient_id,
        list_sort(list_distinct(flatten(list(email_keys)))) as email_keys
    from held
    where email_keys is not null
    group by source_name, patient_id
)

select
    patients.source_name,
    patients.patient_id,
    phones.phone_keys,
    emails.email_keys,
    cast(null as bigint) as birth_year,
    cast(null as varchar) as sex,
    -- the card was opened in the record system
    cast(null as timestamptz) as registered_at,
    cast(null as varchar) as self_reported_source,
    cast(null as varchar) as merged_into
from patients
left join phones
    on
        patients.source_name = phones.source_name
        and patients.patient_id = phones.patient_id
left join emails
    on
        patients.source_name = emails.source_name
        and patients.patient_id = emails.patient_id
