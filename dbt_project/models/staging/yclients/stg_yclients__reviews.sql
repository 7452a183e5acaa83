with branches as (
    select
        source_name,
        min_by(title, company_id) as title
    from {{ source('yclients', 'companies') }}
    group by source_name
)

select
    reviews.source_name,
    reviews.review_id,
    reviews.reviewed_at,
    cast(reviews.rating as double) as rating,
    staff.name as doctor,
    branches.title as branch,
    'yclients' as platform
from {{ source('yclients', 'reviews') }} as reviews
left join {{ source('yclients', 'staff') }} as staff
    on
        reviews.source_name = staff.source_name
        and reviews.staff_id = staff.staff_id
left join branches
    on reviews.source_name = branches.source_name
