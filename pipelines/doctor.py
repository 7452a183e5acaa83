"""What `check` and `quarantine` find out: is everything in place, and what was not landed."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb

from connectors import registry
from connectors.contract import ReadLog
from connectors.errors import ConnectorError, FileRefused
from connectors.files import InboxFile
from connectors.privacy import KEY_VARIABLE
from pipelines import dbt
from pipelines.config import Clinic, ConfigError, load_clinic
from pipelines.inbox import finished, misplaced, places
from pipelines.loads import read_records
from pipelines.lock import holder, lock_is_held
from pipelines.publish import published_path
from pipelines.reference import OWN_NUMBERS, read_reference, reference_streams

# A night of a mid-sized clinic needs about this much for landing, building and publishing.
_ROOM = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One line of `check`. `bad` would stop or spoil a run, `warn` deserves a look."""

    grade: Literal["ok", "note", "warn", "bad"]
    text: str


@dataclass(frozen=True)
class Listing:
    """Columns and rows to print."""

    columns: Sequence[str]
    rows: list[tuple[Any, ...]]


def examine(config: Path, data_dir: Path) -> Iterator[Finding]:
    """Everything that a run will need, looked at without changing anything but the parsed dbt manifest."""
    try:
        clinic = load_clinic(config, data_dir)
    except ConfigError as error:
        for mistake in error.mistakes:
            yield Finding("bad", mistake)
        return
    about = (
        f"{len(clinic.sources)} sources of {len(clinic.kinds())} kinds"
        if clinic.sources
        else "no sources yet"
    )
    yield Finding("ok" if clinic.sources else "warn", f"{config}: {clinic.clinic.name}, {about}")
    yield _key(clinic)
    yield from _references(clinic)
    yield from _inbox(clinic)
    yield from _apis(clinic)
    yield _dbt(clinic)
    yield _room(clinic)
    if lock_is_held(clinic.data_dir):
        yield Finding("note", f"a run is going on: {holder(clinic.data_dir)}")
    yield _published(clinic)


def _key(clinic: Clinic) -> Finding:
    path = clinic.data_dir / "secret" / "hash.key"
    if os.environ.get(KEY_VARIABLE):
        return Finding("ok", f"hash key: from {KEY_VARIABLE}")
    if not path.exists():
        return Finding("note", f"hash key: the first run makes {path}; back it up with your secrets")
    if path.stat().st_mode & 0o077:
        return Finding("bad", f"{path}: others can read the hash key; run: chmod 600 {path}")
    return Finding("ok", f"hash key: {path}")


def _references(clinic: Clinic) -> Iterator[Finding]:
    folder = clinic.data_dir / "reference"
    known = {stream.name: stream for stream in reference_streams() if stream.name != OWN_NUMBERS.name}
    for path in sorted(folder.glob("*.csv")) if folder.is_dir() else []:
        if path.name.endswith(".example.csv"):
            continue
        stream = known.get(path.stem)
        if stream is None:
            yield Finding("warn", f"reference/{path.name}: is not read; accepted: {', '.join(known)}")
            continue
        try:
            rows = sum(
                1
                for _ in read_reference(
                    InboxFile(path),
                    stream,
                    zone=clinic.timezone,
                    region=clinic.clinic.phone_region,
                    log=ReadLog(),
                )
            )
        except FileRefused as error:
            for line in str(error).splitlines():
                yield Finding("bad", f"reference/{line}")
        else:
            yield Finding("ok", f"reference/{path.name}: {rows} rows")


def _inbox(clinic: Clinic) -> Iterator[Finding]:
    for source, stream, folder in places(clinic):
        place = f"inbox/{source.name}/{stream}"
        files = list(finished(folder))
        if not files:
            yield Finding("note", f"{place}/: empty")
            continue
        seen = _seen(clinic, source.kind, stream, source.name)
        fresh = [
            path
            for path, stat in files
            if seen.get(str(path.relative_to(folder)), [])[:2] != [stat.st_size, stat.st_mtime_ns]
        ]
        size = sum(stat.st_size for _, stat in files)
        yield Finding(
            "ok", f"{place}/: {len(files)} files, {size / 1e6:,.1f} MB, {len(fresh)} not landed yet"
        )
    yield from (Finding("warn", line) for line in misplaced(clinic))


def _apis(clinic: Clinic) -> Iterator[Finding]:
    """One line for each source that is read from an API: what a small request to it came to."""
    for source in clinic.api_sources():
        connector = registry.connector(source.kind)
        try:
            yield Finding("ok", f"{source.name}: {connector.title} {connector.probe(source)}")
        except ConnectorError as error:
            said = str(error)
            yield Finding("bad", said if said.startswith(f"{source.name}: ") else f"{source.name}: {said}")


def _seen(clinic: Clinic, kind: str, stream: str, source: str) -> dict[str, list[Any]]:
    path = clinic.data_dir / "landing" / kind / stream / f"source={source}" / "manifest.json"
    if not path.exists():
        return {}
    found: dict[str, list[Any]] = json.loads(path.read_text(encoding="utf-8")).get("seen", {})
    return found


def _dbt(clinic: Clinic) -> Finding:
    try:
        manifest = dbt.prepare_manifest(clinic)
    except (dbt.DbtError, ConnectorError) as error:
        return Finding("bad", str(error))
    kinds = Counter(node["resource_type"] for node in manifest["nodes"].values())
    return Finding("ok", f"dbt project: {kinds['model']} models, {kinds['test']} tests")


def _room(clinic: Clinic) -> Finding:
    folder = clinic.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("ok" if free > _ROOM else "warn", f"{free / 1e9:,.1f} GB free at {clinic.data_dir}")


def _published(clinic: Clinic) -> Finding:
    path = published_path(clinic.data_dir)
    if not path.exists():
        return Finding("note", "nothing is published yet")
    with duckdb.connect(str(path), read_only=True) as con:
        row = con.execute(
            "select strftime(published_at at time zone 'UTC', '%Y-%m-%d %H:%M UTC'), cast(as_of as varchar), "
            "len(warnings) from ops.publication"
        ).fetchone()
    assert row is not None
    when, as_of, warnings = row
    note = f", {warnings} warnings" if warnings else ""
    return Finding(
        "warn" if warnings else "ok", f"published {when}, as of {as_of or 'no visit yet'}{note}: {path}"
    )


def quarantined(data_dir: Path, *, source: str | None = None, each_row: bool = False) -> Listing:
    """The quarantine's rows, or how many there are by file and reason."""
    files = {r["load_id"]: r["file"] for r in read_records(data_dir / "landing" / "loads.jsonl")}
    rows: list[tuple[Any, ...]] = []
    counted: Counter[tuple[str, ...]] = Counter()
    for path in sorted((data_dir / "quarantine").glob("*/*/source=*/*.jsonl")):
        name = path.parent.name.removeprefix("source=")
        if source is not None and name != source:
            continue
        for one in read_records(path):
            place = (name, path.parent.parent.name, files.get(one["load_id"], one["load_id"]))
            counted[(*place, one["column"], one["reason"])] += 1
            if each_row:
                values = ", ".join(f"{column}={value}" for column, value in one["values"].items())
                rows.append((*place, one["row_number"], one["column"], one["reason"], values))
    if each_row:
        return Listing(("source", "stream", "file", "row", "column", "reason", "other values"), rows)
    return Listing(
        ("source", "stream", "file", "column", "reason", "rows"),
        [(*key, count) for key, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))],
    )
