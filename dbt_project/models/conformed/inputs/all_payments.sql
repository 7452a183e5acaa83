{{ union_feeds('payments') }}
