{{ union_reference('campaign_aliases', {
    'alias': 'varchar',
    'campaign': 'varchar',
}) }}
