{{ union_feeds('other_costs') }}
