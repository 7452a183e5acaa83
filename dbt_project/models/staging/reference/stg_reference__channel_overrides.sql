{{ union_reference('channel_overrides', {
    'kind': 'varchar',
    'id': 'varchar',
    'channel': 'varchar',
    'by': 'varchar',
    'on': 'date',
    'reason': 'varchar',
}) }}
