{{ union_feeds('ad_spend') }}
