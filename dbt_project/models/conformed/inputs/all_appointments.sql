{{ union_feeds('appointments') }}
