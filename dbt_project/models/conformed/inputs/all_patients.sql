{{ union_feeds('patients') }}
