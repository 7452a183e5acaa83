{{ union_feeds('reviews') }}
