"""The Dagster assets: what lands, what dbt builds, what is published."""
