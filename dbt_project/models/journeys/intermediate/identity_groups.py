"""Which visitors, phones and accounts hang together."""


def model(dbt, session):  # noqa: D103, ANN001, ANN201, ARG001 - dbt's own form
    dbt.config(schema="intermediate", materialized="table")
    import attribution

    return attribution.connected_groups(dbt.ref("identity_edges").to_arrow_table())
