{{ union_feeds('ad_clicks') }}
