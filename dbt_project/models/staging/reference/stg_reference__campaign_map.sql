{{ union_reference('campaign_map', {
    'campaign': 'varchar',
    'branch': 'varchar',
    'service_line': 'varchar',
    'budget_role': 'varchar',
}) }}
