{{ union_reference('fx_rates', {
    'rate_date': 'date',
    'currency': 'varchar',
    'rate': 'decimal(18, 6)',
}) }}
