"""What share of the conversions would be lost without each channel."""


def model(dbt, session):  # noqa: D103, ANN001, ANN201, ARG001 - dbt's own form
    dbt.config(materialized="table")
    import attribution

    return attribution.removal_effects(dbt.ref("channel_transitions").to_arrow_table())
