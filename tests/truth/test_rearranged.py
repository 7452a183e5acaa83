"""The same exports dropped twice, in another order and cut into overlapping files: the same marts."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from tests.truth.conftest import Night
from tests.truth.pipeline import land, land_and_build
from tests.truth.rearrange import drop_rearranged

pytestmark = pytest.mark.timeout(1800)


def _unequal(one: Path, other: Path) -> list[str]:
    """Tables of two warehouses whose rows differ, as multisets."""
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
                [(count, example)] = connection.execute(
                    f"""
                    select count(*), any_value(rest)
                    from (from {left}.{name} except all from {right}.{name}) as rest
                    """
                ).fetchall()
                if count:
                    found.append(f"{schema}.{table}: {count} rows only in {left}, e.g. {example}")
        return found


def test_any_order_twice_and_overlapping_give_the_same_tables(night: Night, tmp_path: Path) -> None:
    made = night.made
    data_dir = tmp_path / "data"
    shutil.copytree(made.data_dir / "reference", data_dir / "reference")
    rounds = drop_rearranged(made.data_dir / "inbox", data_dir / "inbox", seed=7)
    next(rounds)
    land(made.config, data_dir)
    next(rounds)
    warehouse = tmp_path / "firstvisit.duckdb"
    land_and_build(made.config, data_dir, warehouse, tmp_path / "target")
    assert _unequal(night.warehouse, warehouse) == []
