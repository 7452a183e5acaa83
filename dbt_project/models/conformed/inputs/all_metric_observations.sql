{{ union_feeds('metric_observations') }}
