{{ union_reference('patient_merges', {
    'patient_id': 'varchar',
    'into_patient_id': 'varchar',
}) }}
