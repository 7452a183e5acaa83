{{ union_feeds('contacts') }}
