{{ union_reference('services', {
    'service': 'varchar',
    'group': 'varchar',
    'care_setting': 'varchar',
    'specialty': 'varchar',
    'list_price': 'decimal(18, 6)',
    'margin_share': 'double',
}) }}
