{{ union_feeds('visit_lines') }}
