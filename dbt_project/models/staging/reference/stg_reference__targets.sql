{{ union_reference('targets', {
    'metric': 'varchar',
    'scope': 'varchar',
    'scope_value': 'varchar',
    'baseline': 'double',
    'value': 'double',
    'is_relative': 'boolean',
    'starts_on': 'date',
    'due_on': 'date',
    'owner': 'varchar',
    'horizon': 'varchar',
}) }}
