{{ union_reference('self_reported_map', {
    'text': 'varchar',
    'channel': 'varchar',
}) }}
