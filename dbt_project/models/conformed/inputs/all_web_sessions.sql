{{ union_feeds('web_sessions') }}
