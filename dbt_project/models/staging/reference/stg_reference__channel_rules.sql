{{ union_reference('channel_rules', {
    'priority': 'bigint',
    'platform': 'varchar',
    'campaign_type': 'varchar',
    'click_id_type': 'varchar',
    'source': 'varchar',
    'medium': 'varchar',
    'campaign': 'varchar',
    'referrer': 'varchar',
    'is_brand': 'boolean',
    'channel': 'varchar',
    'is_paid': 'boolean',
}) }}
