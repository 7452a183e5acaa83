{{ union_reference('own_numbers', {
    'phone_key': 'varchar',
}) }}
