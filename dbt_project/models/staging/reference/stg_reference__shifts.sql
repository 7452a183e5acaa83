{{ union_reference('shifts', {
    'resource': 'varchar',
    'doctor': 'varchar',
    'room': 'varchar',
    'branch': 'varchar',
    'starts_at': 'timestamptz',
    'ends_at': 'timestamptz',
}) }}
