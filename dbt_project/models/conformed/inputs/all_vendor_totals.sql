{{ union_feeds('vendor_totals') }}
