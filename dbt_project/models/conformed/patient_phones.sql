with phones as (
    select
        source_name,
        patient_id,
        unnest(phone_keys) as phone_key
    from {{ ref('patients') }}
),

carriers as (
    select
        phone_key,
        count(*) as patients
    from phones
    group by phone_key
)

select
    phones.source_name,
    phones.patient_id,
    phones.phone_key,
    carriers.patients as patients_with_phone,
    carriers.patients <= 8 and clinic_numbers.phone_key is null as is_linking
from phones
inner join carriers
    on phones.phone_key = carriers.phone_key
left join {{ ref('clinic_numbers') }} as clinic_numbers
    on phones.phone_key = clinic_numbers.phone_key
