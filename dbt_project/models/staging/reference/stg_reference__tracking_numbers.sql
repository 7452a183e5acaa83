{{ union_reference('tracking_numbers', {
    'number': 'varchar',
    'phone_key': 'varchar',
    'channel': 'varchar',
    'source': 'varchar',
    'campaign': 'varchar',
    'valid_from': 'date',
    'valid_to': 'date',
    'phone_key': 'varchar',
}) }}
