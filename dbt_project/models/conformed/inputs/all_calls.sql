{{ union_feeds('calls') }}
