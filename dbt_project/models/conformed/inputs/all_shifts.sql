{{ union_feeds('shifts') }}
