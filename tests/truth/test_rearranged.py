"""The same exports dropped twice, in another order and cut into overlapping files: the same marts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from connectors.privacy import Privacy
from pipelines.config import load_clinic
from pipelines.landing import Landing
from tests.truth.conftest import Night
from tests.truth.pipeline import HASH_KEY, run_pipeline
from tests.truth.rearrange import drop_rearranged

pytestmark = pytest.mark.timeout(1800)


def _unequal(one: Path, other: Path) -> list[str]:
    """Tables of two published files whose rows differ, as multisets."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{one}' as one (read_only)")
        connection.execute(f"attach '{other}' as other (read_only)")
        tables = connection.execute(
            """
            select schema_name, table_name from duckdb_tables()
            where database_name = 'one' and schema_name in ('marts', 'journeys', 'conformed')
            order by all
            """
        ).fetchall()
        assert len(tables) > 20
        found = []
        for schema, table in tables:
            name = f'"{schema}"."{table}"'
            for left, right in (("one", "other"), ("other", "one")):
                count, example = connection.execute(
                    f"""
                    select count(*), any_value(rest)
                    from (from {left}.{name} except all from {right}.{name}) as rest
                    """
                ).fetchone()  # type: ignore[misc]
                if count:
                    found.append(f"{schema}.{table}: {count} rows only in {left}, e.g. {example}")
        return found


def test_any_order_twice_and_overlapping_give_the_same_tables(
    night_of: Callable[[int], Night], tmp_path: Path
) -> None:
    night = night_of(1)
    made = night.made
    data_dir = tmp_path / "data"
    shutil.copytree(made.data_dir / "reference", data_dir / "reference")
    clinic = load_clinic(made.config, data_dir)
    rounds = drop_rearranged(made.data_dir / "inbox", data_dir / "inbox", seed=7)
    next(rounds)
    landing = Landing(clinic, Privacy(HASH_KEY.encode(), clinic.clinic.phone_region))
    landing.prepare()
    for kind, stream in clinic.streams():
        assert [r.error for r in landing.land(kind, stream.name) if r.status == "failed"] == []
    next(rounds)
    published = run_pipeline(made.config, data_dir)
    assert _unequal(night.warehouse, published.warehouse) == []
