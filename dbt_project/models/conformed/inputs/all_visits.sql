{{ union_feeds('visits') }}
