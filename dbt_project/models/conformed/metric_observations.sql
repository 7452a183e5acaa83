select * from {{ ref('all_metric_observations') }}
