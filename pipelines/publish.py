"""Publishing: the tested build becomes the file that analysts open, whole and by one rename.

    warehouse/build/<slot>/firstvisit.duckdb    what dbt writes; nobody else opens it
    warehouse/build/<slot>/next.duckdb          the copy that will be published
    warehouse/firstvisit.duckdb                 the published file; a reader keeps the one it opened
    warehouse/firstvisit.<when>.duckdb          what was published before, the last N

Killed at any point, the published file is the old one or the new one, never neither and never half.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines import durable, quote, restatements

# The manifest stores the file's stem as database name; built under another one, row counts and lineage
# are lost with only a log line (measured on dbt-duckdb 1.11.1).
DATABASE = "firstvisit.duckdb"
SCHEMAS = ("marts", "journeys", "conformed", "ops")
# Readable by DuckDB 1.2 and every later one; a file written with 2.0's defaults is not.
STORAGE_VERSION = "v1.2.0"
_EARLIER = re.compile(r"firstvisit\.\d{8}T\d{6}Z(?:-\d+)?\.duckdb")
# What a copy may need beyond the size of the build: older storage compresses less well.
_ROOM_FACTOR = 2
_ROOM_BASE = 64 << 20


class PublishError(Exception):
    """Nothing was published. The message says why and what to do."""


@dataclass
class Published:
    """What was published."""

    path: Path
    size: int
    as_of: str | None
    # schema.table -> rows
    tables: dict[str, int] = field(default_factory=dict)


def warehouse(data_dir: Path) -> Path:
    """The folder of the published files."""
    return data_dir.resolve() / "warehouse"


def published_path(data_dir: Path) -> Path:
    """The file that analysts open."""
    return warehouse(data_dir) / DATABASE


def build_path(data_dir: Path, slot: str = "a") -> Path:
    """Where dbt builds. The first slot is the usual one: dbt parses anew when its path changes."""
    return warehouse(data_dir) / "build" / slot / DATABASE


def take_slot(data_dir: Path) -> tuple[Path, list[str]]:
    """(build path of this run, slots of killed runs that were cleared), for the holder of the lock.

    A killed run may leave a dbt behind that still writes. So a slot that was left is removed but not used
    at once, and nothing that the orphan does reaches a file that will be read.
    """
    folder = warehouse(data_dir) / "build"
    folder.mkdir(parents=True, exist_ok=True)
    left = sorted(path.name for path in folder.iterdir())
    slot = next(name for name in "abcdefghijklmnopqrstuvwxyz" if name not in left)
    for name in left:
        shutil.rmtree(folder / name, ignore_errors=True)
    path = build_path(data_dir, slot)
    path.parent.mkdir()
    return path, left


def clear_slot(build: Path) -> None:
    """Remove a run's slot at its end, published or not."""
    shutil.rmtree(build.parent, ignore_errors=True)


def publish(
    build: Path, data_dir: Path, *, run_id: str, warnings: list[str], keep: int, now: datetime | None = None
) -> Published:
    """Copy the published schemas of `build` into a new file and swap it in.

    `warnings` go into `ops.publication`. `keep` earlier files stay. `now` is the time of publication, for
    tests. Raises PublishError, and then nothing has changed.
    """
    if not build.exists():
        raise PublishError(
            "nothing to publish: this run built no warehouse; materialize the dbt models with it, or launch "
            "the job `nightly`"
        )
    target = published_path(data_dir)
    _check_room(build, target)
    scratch = build.with_name("next.duckdb")
    _remove(scratch)
    when = now or datetime.now(tz=UTC)
    figures = build.with_name("figures.parquet")
    tables, as_of = _copy(
        build, scratch, data_dir, figures=figures, run_id=run_id, warnings=warnings, when=when
    )
    _verify(scratch, tables)
    durable.sync(scratch)
    _keep_present(target)
    scratch.replace(target)
    durable.sync(target.parent)
    # After the rename: what was never published is no figure of the past.
    restatements.remember(data_dir, figures, when)
    _prune(target.parent, keep)
    return Published(path=target, size=target.stat().st_size, as_of=as_of, tables=tables)


def _check_room(build: Path, target: Path) -> None:
    needed = build.stat().st_size * _ROOM_FACTOR + _ROOM_BASE
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise PublishError(
            f"not enough disk space at {target.parent}: publishing needs {needed / 1e6:,.0f} MB, "
            f"{free / 1e6:,.0f} MB are free"
        )


def _copy(
    build: Path,
    scratch: Path,
    data_dir: Path,
    *,
    figures: Path,
    run_id: str,
    warnings: list[str],
    when: datetime,
) -> tuple[dict[str, int], str | None]:
    tables: dict[str, int] = {}
    with duckdb.connect(config={"temp_directory": str(scratch.parent / "tmp")}) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"attach {quote.text(build)} as build (read_only)")
        con.execute(f"attach {quote.text(scratch)} as fresh (storage_version {quote.text(STORAGE_VERSION)})")
        relations = con.execute(
            "select schema_name, table_name, comment from duckdb_tables() where database_name = 'build' "
            "union all "
            "select schema_name, view_name, comment from duckdb_views() where database_name = 'build' "
            "order by all"
        ).fetchall()
        columns = con.execute(
            "select schema_name, table_name, column_name, comment from duckdb_columns() "
            "where database_name = 'build' and comment is not null order by all"
        ).fetchall()
        for schema in SCHEMAS:
            con.execute(f"create schema fresh.{schema}")
        for schema, table, comment in relations:
            if schema not in SCHEMAS:
                continue
            name = f"{quote.name(schema)}.{quote.name(table)}"
            con.execute(f"create table fresh.{name} as from build.{name}")
            if comment is not None:
                con.execute(f"comment on table fresh.{name} is {quote.text(comment)}")
            counted = con.execute(f"select count(*) from build.{name}").fetchone()
            assert counted is not None
            tables[f"{schema}.{table}"] = counted[0]
        for schema, table, column, comment in columns:
            if f"{schema}.{table}" in tables:
                name = f"{quote.name(schema)}.{quote.name(table)}.{quote.name(column)}"
                con.execute(f"comment on column fresh.{name} is {quote.text(comment)}")
        if not any(name.startswith("marts.") for name in tables):
            raise PublishError("nothing to publish: the build has no marts")
        as_of = _as_of(con) if "conformed.as_of" in tables else None
        _write_publication(con, run_id=run_id, warnings=warnings, when=when, as_of=as_of)
        tables["ops.publication"] = 1
        restatements.write_restatements(con, data_dir, when, tables)
        restatements.export_figures(con, figures)
        restated = con.execute("select count(*) from fresh.ops.restatements").fetchone()
        assert restated is not None
        tables["ops.restatements"] = restated[0]
        con.execute("checkpoint fresh")
        con.execute("detach fresh")
    return tables, as_of


def _as_of(con: duckdb.DuckDBPyConnection) -> str | None:
    row = con.execute("select cast(max(as_of) as varchar) from fresh.conformed.as_of").fetchone()
    return None if row is None else row[0]


_PUBLICATION = (
    ("published_at", "timestamptz", "When this file was published, UTC."),
    ("as_of", "date", "Local day of the latest completed visit: what the figures are as of."),
    ("run_id", "varchar", "The Dagster run that built it."),
    ("warnings", "varchar[]", "Loads that failed and checks that warned in that run; empty when none."),
)


def _write_publication(
    con: duckdb.DuckDBPyConnection, *, run_id: str, warnings: list[str], when: datetime, as_of: str | None
) -> None:
    declared = ", ".join(f"{name} {type_}" for name, type_, _ in _PUBLICATION)
    con.execute(f"create table fresh.ops.publication ({declared})")
    con.execute(
        "insert into fresh.ops.publication "
        "select cast(? as timestamptz), cast(? as date), ?, cast(? as varchar[])",
        [when.isoformat(), as_of, run_id, warnings],
    )
    con.execute(
        "comment on table fresh.ops.publication is "
        "'This publication: when, as of which day, with which warnings. One row.'"
    )
    for name, _, about in _PUBLICATION:
        con.execute(f"comment on column fresh.ops.publication.{name} is {quote.text(about)}")


def _verify(scratch: Path, tables: dict[str, int]) -> None:
    """Open the new file as a reader will, and count."""
    if scratch.with_name(f"{scratch.name}.wal").exists():
        raise PublishError(f"{scratch}: DuckDB left a write-ahead log; nothing was published")
    with duckdb.connect(str(scratch), read_only=True) as con:
        for name, rows in tables.items():
            schema, table = name.split(".", 1)
            found = con.execute(f"select count(*) from {quote.name(schema)}.{quote.name(table)}").fetchone()
            assert found is not None
            if found[0] != rows:
                raise PublishError(
                    f"{name}: {rows} rows were built, {found[0]} were copied; nothing was published"
                )


def _keep_present(target: Path) -> None:
    """Give the present file the name it will be kept under, beside its own. Idempotent."""
    if not target.exists():
        return
    stamp = datetime.fromtimestamp(target.stat().st_mtime, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1000):
        kept = target.with_name(f"firstvisit.{stamp}{f'-{number}' if number else ''}.duckdb")
        if kept.exists():
            if kept.samefile(target):
                return
            continue
        try:
            os.link(target, kept)
        except OSError:  # a file system without hard links
            scratch = kept.with_name(f".{kept.name}.tmp")
            shutil.copy2(target, scratch)
            durable.sync(scratch)
            scratch.replace(kept)
        return
    raise PublishError(f"{target.parent}: too many files are named firstvisit.{stamp}; move some away")


def _prune(folder: Path, keep: int) -> None:
    # By time, not by name: two of one second differ by a number.
    earlier = sorted(
        (path for path in folder.iterdir() if _EARLIER.fullmatch(path.name)),
        key=lambda path: path.stat().st_mtime_ns,
    )
    for path in earlier[: max(0, len(earlier) - keep)]:
        path.unlink(missing_ok=True)
    for path in folder.glob(".firstvisit.*.tmp"):
        path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    for leftover in (path, path.with_name(f"{path.name}.wal")):
        with suppress(FileNotFoundError):
            leftover.unlink()
