"""The landing zone: inbox files in, live Parquet by day out, every row accounted for.

    landing/<kind>/<stream>/schema.parquet                an empty file with the stream's schema
    landing/<kind>/<stream>/source=<name>/manifest.json   the live files, the loads behind them
    landing/<kind>/<stream>/source=<name>/<day>.<commit>.parquet
    landing/loads.jsonl                                   one record per load, append-only
    quarantine/<kind>/<stream>/source=<name>/<load_id>.jsonl

The set of live files changes by one rename of the manifest, so a load is in whole or not at all; files
that no manifest names are left-overs of a killed run and are swept before the next load.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors import registry
from connectors.check import check
from connectors.contract import ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.privacy import Privacy, to_e164
from pipelines.config import Clinic
from pipelines.reference import read_reference, reference_streams

# Rises when landed rows would differ for the same connector output (casting, hashing, meta columns).
_LANDING_VERSION = 1
_META = (
    pa.field("_row_number", pa.int64()),
    pa.field("source_name", pa.string()),
    pa.field("_load_id", pa.string()),
    pa.field("_version_at", pa.timestamp("us", tz="UTC")),
    pa.field("_arrived_at", pa.timestamp("us", tz="UTC")),
    pa.field("_file_name", pa.string()),
)
# Unfinished copies: browsers, rsync and editors write under these names first.
_IGNORED_SUFFIXES = (".part", ".partial", ".tmp", ".crdownload", ".swp", "~")
REFERENCE = "reference"

Progress = Callable[[str, int], None]


@dataclass
class LoadRecord:
    """One load, as `ops.loads` shows it. rows_read = rows_landed + rows_duplicate + rows_quarantined.

    `status`: landed, skipped (the same content was loaded before) or failed (`error` says why).
    """

    load_id: str
    kind: str
    source: str
    stream: str
    file: str
    file_hash: str
    status: str
    started: str
    finished: str
    rows_read: int = 0
    rows_landed: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    rows_skipped: int = 0
    encoding: str | None = None
    unknown_columns: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    control_totals: dict[str, str] = field(default_factory=dict)
    quarantine_reasons: dict[str, int] = field(default_factory=dict)
    error: str | None = None


@dataclass
class _Staged:
    """A file that was read and checked and waits to be merged."""

    record: LoadRecord
    path: Path
    # (version, arrival, name) as sortable text: which of two whole files is newer.
    rank: tuple[str, str, str]
    coverage: list[dict[str, Any]]
    quarantine: Path | None


def landed_schema(stream: Stream) -> pa.Schema:
    """The Arrow schema of a stream's landed files: the declared columns, then the load's own."""
    schema = stream.schema()
    for meta in _META:
        schema = schema.append(meta)
    return schema


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds")


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _spans(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """Runs of consecutive days as (first, last)."""
    first = last = None
    for day in sorted(set(days)):
        if first is None or last is None:
            first = day
        elif day - last > timedelta(days=1):
            yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


def _days(since: str, until: str) -> Iterator[str]:
    first = date.fromisoformat(since)
    for offset in range((date.fromisoformat(until) - first).days + 1):
        yield (first + timedelta(days=offset)).isoformat()


def _write_atomically(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with scratch.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Landing:
    """Lands what the inbox holds. The caller holds the data directory's lock."""

    def __init__(self, clinic: Clinic, privacy: Privacy, progress: Progress | None = None) -> None:
        self._clinic = clinic
        self._privacy = privacy
        self._progress = progress or (lambda _what, _rows: None)
        self._root = clinic.data_dir / "landing"
        self._quarantine = clinic.data_dir / "quarantine"
        self._inbox = clinic.data_dir / "inbox"
        # Another key, region or record-id setting gives other hashes: everything is then re-read.
        self._pseudonyms = hashlib.sha256(
            f"{_LANDING_VERSION}:{privacy.email_key('key@check.invalid')}:{privacy.phone_key('+38515550100')}:"
            f"{clinic.clinic.phone_region}:{privacy.hash_record_ids}".encode()
        ).hexdigest()[:12]

    def prepare(self) -> None:
        """Make the folders and the empty schema file of every configured stream; mend loads.jsonl."""
        for source in self._clinic.sources.values():
            for stream in registry.connector(source.kind).streams(source):
                (self._inbox / source.name / stream.name).mkdir(parents=True, exist_ok=True)
        for kind, stream in self._clinic.streams():
            folder = self._root / kind / stream.name
            folder.mkdir(parents=True, exist_ok=True)
            schema, path = landed_schema(stream), folder / "schema.parquet"
            if not path.exists() or not pq.read_schema(path).equals(schema):
                scratch = folder / ".schema.tmp"
                pq.write_table(schema.empty_table(), scratch)
                scratch.replace(path)
        _mend_lines(self._root / "loads.jsonl")

    def land(self, kind: str, stream_name: str) -> list[LoadRecord]:
        """Land every new file of one stream, all sources of the kind; one record per file.

        A file that cannot be read is a failed record, never an exception: the earlier loads stay and
        the other files go on.
        """
        records: list[LoadRecord] = []
        if kind == REFERENCE:
            stream = next(s for s in reference_streams() if s.name == stream_name)
            records += _Place(self, kind, stream, REFERENCE, None).land()
        else:
            for source in self._clinic.sources_of(kind):
                for stream in registry.connector(kind).streams(source):
                    if stream.name == stream_name:
                        records += _Place(self, kind, stream, source.name, source).land()
        return records

    def misplaced(self) -> list[str]:
        """One line for each inbox folder or file that no configured stream reads."""
        lines: list[str] = []
        if not self._inbox.is_dir():
            return lines
        for folder in sorted(self._inbox.iterdir()):
            if folder.name.startswith("."):
                continue
            source = self._clinic.sources.get(folder.name)
            if source is None:
                lines.append(
                    f"inbox/{folder.name}: no source of that name in {self._clinic.config_path.name}; "
                    f"it has: {', '.join(self._clinic.sources) or 'none'}"
                )
                continue
            names = [s.name for s in registry.connector(source.kind).streams(source)]
            for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
                if entry.name not in names and not entry.name.startswith("."):
                    lines.append(
                        f"inbox/{folder.name}/{entry.name}: is not read; put files into "
                        f"inbox/{folder.name}/{names[0] if len(names) == 1 else '{' + ','.join(names) + '}'}/"
                    )
        return lines


class _Place:
    """One stream of one source: its inbox folder, its live files, its manifest."""

    def __init__(
        self, landing: Landing, kind: str, stream: Stream, source_name: str, source: SourceOptions | None
    ) -> None:
        self._landing = landing
        self._kind = kind
        self._stream = stream
        self._source_name = source_name
        self._source = source
        tail = Path(kind, stream.name, f"source={source_name}")
        self._folder = landing._root / tail
        self._quarantine = landing._quarantine / tail
        self._manifest_path = self._folder / "manifest.json"
        self._schema = landed_schema(stream)
        fingerprint = (
            registry.connector(kind).fingerprint(source, stream)
            if source is not None
            else hashlib.sha256(repr(stream.columns).encode()).hexdigest()[:16]
        )
        self._fingerprint = f"{fingerprint}-{landing._pseudonyms}"
        self._manifest: dict[str, Any] = {"files": [], "loads": {}, "seen": {}, "failed": {}}
        if self._manifest_path.exists():
            self._manifest = json.loads(self._manifest_path.read_text(encoding="utf-8"))

    def land(self) -> list[LoadRecord]:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        records: list[LoadRecord] = []
        staged: list[_Staged] = []
        seen: dict[str, list[Any]] = {}
        hashes_now: set[str] = set()
        for path, name in self._inbox_files():
            record = self._consider(path, name, seen, hashes_now, staged)
            if record is not None:
                records.append(record)
        if self._kind == REFERENCE and not seen and self._manifest["files"]:
            # The clinic removed the file: the table is empty again.
            self._manifest |= {"files": [], "loads": {}}
        self._manifest["failed"] = {k: v for k, v in self._manifest["failed"].items() if k in hashes_now}
        if staged:
            self._merge(staged)
        if staged or seen != self._manifest["seen"] or records:
            self._manifest["seen"] = seen
            _write_atomically(self._manifest_path, json.dumps(self._manifest, ensure_ascii=False, indent=1))
        shutil.rmtree(self._folder / ".staging", ignore_errors=True)
        self._sweep()
        _append_lines(self._landing._root / "loads.jsonl", (asdict(record) for record in records))
        return records

    def _inbox_files(self) -> Iterator[tuple[Path, str]]:
        """(path, name in records) of what there is to read, oldest first."""
        if self._kind == REFERENCE:
            if self._stream.name == "own_numbers":
                yield self._own_numbers(), "clinic.yaml"
                return
            path = self._landing._clinic.data_dir / "reference" / f"{self._stream.name}.csv"
            if path.exists():
                yield path, path.name
            return
        inbox = self._landing._inbox / self._source_name / self._stream.name
        paths = (
            [
                path
                for path in inbox.rglob("*")
                if path.is_file()
                and not path.name.lower().endswith(_IGNORED_SUFFIXES)
                and not any(part.startswith(".") for part in path.relative_to(inbox).parts)
            ]
            if inbox.is_dir()
            else []
        )
        for path in sorted(paths, key=lambda p: (p.stat().st_mtime_ns, str(p))):
            yield path, str(path.relative_to(inbox))

    def _own_numbers(self) -> Path:
        # Keys, not numbers: the numbers stand in clinic.yaml, which this snapshot mirrors.
        keys = sorted(
            {
                key
                for number in self._landing._clinic.clinic.own_numbers
                if (key := self._landing._privacy.phone_key(number)) is not None
            }
        )
        path = self._landing._root / self._kind / self._stream.name / "keys.txt"
        text = "".join(f"{key}\n" for key in keys)
        if not path.exists() or path.read_text() != text:
            _write_atomically(path, text)
        return path

    def _consider(
        self, path: Path, name: str, seen: dict[str, list[Any]], hashes_now: set[str], staged: list[_Staged]
    ) -> LoadRecord | None:
        """Read one file unless it was read before. None when nothing about it is new."""
        file = InboxFile(path)
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns]
        before = self._manifest["seen"].get(name)
        file_hash = before[2] if before is not None and before[:2] == mark else file.sha256()
        seen[name] = [*mark, file_hash]
        load_id = hashlib.sha256(f"{file_hash}:{self._fingerprint}".encode()).hexdigest()[:16]
        started = _now()

        def record(status: str, **figures: Any) -> LoadRecord:
            return LoadRecord(
                load_id=load_id,
                kind=self._kind,
                source=self._source_name,
                stream=self._stream.name,
                file=name,
                file_hash=file_hash,
                status=status,
                started=started,
                finished=_now(),
                **figures,
            )

        if load_id in self._manifest["loads"] or load_id in hashes_now:
            hashes_now.add(load_id)
            # Lying where it lay is not a load; the same content under a new name or date is one, skipped.
            return None if before == seen[name] else record("skipped")
        hashes_now.add(load_id)
        if load_id in self._manifest["failed"] and before == seen[name]:
            return record("failed", error=self._manifest["failed"][load_id])
        self._manifest["failed"].pop(load_id, None)
        self._landing._progress(f"{self._source_name}/{self._stream.name}: {name}", 0)
        try:
            item = self._stage(file, record("landed"))
        except FileRefused as error:
            self._manifest["failed"][load_id] = str(error)
            return record("failed", error=str(error))
        staged.append(item)
        return item.record

    def _rows(self, file: InboxFile, log: ReadLog) -> Iterator[Row]:
        clinic = self._landing._clinic.clinic
        if self._source is not None:
            return registry.connector(self._kind).read(file, self._stream, self._source, log)
        if self._stream.name == "own_numbers":
            return self._own_number_rows()
        return read_reference(file, self._stream, zone=clinic.timezone, region=clinic.phone_region, log=log)

    def _own_number_rows(self) -> Iterator[Row]:
        numbers = dict.fromkeys(
            to_e164(own, self._landing._clinic.clinic.phone_region)
            for own in self._landing._clinic.clinic.own_numbers
        )
        for number, own in enumerate(numbers, start=1):
            yield Row(number, {"phone_key": own})

    def _stage(self, file: InboxFile, record: LoadRecord) -> _Staged:
        """Read and check a file into one Parquet file beside the live ones. Raises FileRefused."""
        staging = self._folder / ".staging"
        staging.mkdir(exist_ok=True)
        path = staging / f"{record.load_id}.parquet"
        quarantine = staging / f"{record.load_id}.jsonl"
        log = ReadLog()
        arrived_at = file.arrived_at
        load_columns = {
            "source_name": self._source_name,
            "_load_id": record.load_id,
            "_arrived_at": arrived_at,
            "_file_name": record.file,
        }
        coverage: dict[tuple[Any, ...], list[date]] = {}
        with (
            pq.ParquetWriter(path, self._schema) as writer,
            quarantine.open("w", encoding="utf-8") as refused,
        ):
            rows = self._rows(file, log)
            for checked in check(rows, self._stream, self._landing._privacy, log, arrived_at=arrived_at):
                record.rows_read += checked.rows_read
                for bad in checked.quarantined:
                    record.rows_quarantined += 1
                    why = f"{bad.column}: {bad.reason}" if bad.column else bad.reason
                    record.quarantine_reasons[why] = record.quarantine_reasons.get(why, 0) + 1
                    line = {"load_id": record.load_id, "file_hash": record.file_hash, **asdict(bad)}
                    refused.write(json.dumps(line, ensure_ascii=False) + "\n")
                batch = self._with_load(checked.batch, load_columns, log.exported_at or arrived_at)
                writer.write_batch(batch)
                if self._stream.mode == "report":
                    self._note_days(batch, coverage)
                self._landing._progress(
                    f"{self._source_name}/{self._stream.name}: {record.file}", record.rows_read
                )
        record.rows_skipped = sum(log.skipped.values())
        record.encoding = file.encoding
        record.unknown_columns = sorted(log.unknown_columns)
        record.notes = list(log.notes)
        record.control_totals = {
            f"{label}: {what}": str(v) for (label, what), v in log.control_totals.items()
        }
        version_at = log.exported_at or arrived_at
        return _Staged(
            record=record,
            path=path,
            rank=(_utc(version_at), _utc(arrived_at), record.file),
            coverage=self._coverage(coverage, log, record, version_at, arrived_at),
            quarantine=quarantine if record.rows_quarantined else None,
        )

    def _with_load(self, batch: pa.RecordBatch, load: dict[str, Any], version_at: datetime) -> pa.RecordBatch:
        rows = batch.num_rows
        columns: dict[str, Any] = dict(zip(batch.schema.names, batch.columns, strict=True))
        if self._stream.version is not None:
            versions = pc.fill_null(columns[self._stream.version], pa.scalar(version_at, _META[3].type))
        else:
            versions = pa.repeat(pa.scalar(version_at, _META[3].type), rows)
        columns["_version_at"] = versions
        for name, value in load.items():
            columns[name] = pa.repeat(pa.scalar(value, self._schema.field(name).type), rows)
        return pa.RecordBatch.from_arrays([columns[name] for name in self._schema.names], schema=self._schema)

    def _note_days(self, batch: pa.RecordBatch, coverage: dict[tuple[Any, ...], list[date]]) -> None:
        day = self._stream.event_day
        assert day is not None, "a report stream declares its event day"
        keys = [*self._stream.replaces, day]
        for group in pa.Table.from_batches([batch]).select(keys).group_by(keys).aggregate([]).to_pylist():
            days = coverage.setdefault(tuple(group[k] for k in self._stream.replaces), [])
            days.append(group[day])

    def _coverage(
        self,
        days: dict[tuple[Any, ...], list[date]],
        log: ReadLog,
        record: LoadRecord,
        version_at: datetime,
        arrived_at: datetime,
    ) -> list[dict[str, Any]]:
        """The (replaces columns, first day, last day) that a report speaks for.

        The range it prints, else its days with rows: an export of two single days says nothing of the
        days between. A report without rows speaks for nothing: an export with a wrong filter must not
        delete spend.
        """
        entries: list[dict[str, Any]] = []
        for values, found in days.items():
            key = dict(zip(self._stream.replaces, values, strict=True))
            spans = (
                [(min(log.covers[0], *found), max(log.covers[1], *found))]
                if log.covers is not None
                else list(_spans(found))
            )
            entries += [
                {
                    "key": key,
                    "since": since.isoformat(),
                    "until": until.isoformat(),
                    "load_id": record.load_id,
                    "version_at": _utc(version_at),
                    "arrived_at": _utc(arrived_at),
                    "file_name": record.file,
                }
                for since, until in spans
            ]
        return entries

    def _merge(self, staged: list[_Staged]) -> None:
        """Resolve which rows are newest, write the touched days anew and swap the manifest's files."""
        commit = uuid.uuid4().hex[:8]
        hashes = {item.record.file_hash for item in staged}
        loads: dict[str, Any] = self._manifest["loads"]
        # The same file read anew after a mending of the mapping supersedes its old load.
        superseded = {load_id for load_id, load in loads.items() if load["record"]["file_hash"] in hashes}
        for load_id in superseded:
            del loads[load_id]
            (self._quarantine / f"{load_id}.jsonl").unlink(missing_ok=True)
        merge = _Merge(self._stream, self._schema, self._folder, commit)
        with duckdb.connect() as con:
            con.execute("set TimeZone = 'UTC'")
            con.execute("set preserve_insertion_order = false")
            con.execute("set memory_limit = '1GB'")
            con.execute(f"set temp_directory = '{_sql(self._folder / '.staging' / 'spill')}'")
            coverage = [e for load in loads.values() for e in load["coverage"]]
            coverage += [e for item in staged for e in item.coverage]
            ranks = [(*load["rank"], load_id) for load_id, load in loads.items()]
            ranks += [(*item.rank, item.record.load_id) for item in staged]
            files, landed = merge.run(
                con,
                live=list(self._manifest["files"]),
                incoming=[item.path for item in staged],
                superseded=sorted(superseded),
                coverage=coverage,
                newest=max(ranks)[-1],
            )
        self._manifest["files"] = files
        for item in staged:
            record = item.record
            record.rows_landed = landed.get(record.load_id, 0)
            record.rows_duplicate = record.rows_read - record.rows_quarantined - record.rows_landed
            record.finished = _now()
            if item.quarantine is not None:
                self._quarantine.mkdir(parents=True, exist_ok=True)
                shutil.move(item.quarantine, self._quarantine / item.quarantine.name)
            loads[record.load_id] = {
                "rank": item.rank,
                "coverage": item.coverage,
                "record": asdict(record),
            }

    def _sweep(self) -> None:
        """Remove files that no manifest names: what a killed run, or the last commit, left behind."""
        shutil.rmtree(self._folder / ".staging", ignore_errors=True)
        live = set(self._manifest["files"])
        for path in self._folder.glob("*.parquet"):
            if path.name not in live:
                path.unlink()
        for path in self._folder.glob(".manifest.json.*.tmp"):
            path.unlink()


class _Merge:
    """Set-based resolution of newest rows over the touched days of one stream and source."""

    def __init__(self, stream: Stream, schema: pa.Schema, folder: Path, commit: str) -> None:
        self._stream = stream
        self._schema = schema
        self._folder = folder
        self._commit = commit
        self._columns = ", ".join(_name(n) for n in schema.names)
        event = stream.event_day
        if event is None:
            self._day = "'all'"
        elif stream.column(event).type == "date":
            self._day = f"coalesce(strftime({_name(event)}, '%Y-%m-%d'), 'undated')"
        else:
            self._day = f"coalesce(strftime({_name(event)} at time zone 'UTC', '%Y-%m-%d'), 'undated')"

    def run(
        self,
        con: duckdb.DuckDBPyConnection,
        *,
        live: list[str],
        incoming: list[Path],
        superseded: list[str],
        coverage: list[dict[str, Any]],
        newest: str,
    ) -> tuple[list[str], dict[str, int]]:
        """Write the touched days. Returns the new live file names and rows landed per load id."""
        con.execute(f"create temp view incoming as from {_read(incoming)}")
        batch = {path.stem for path in incoming}
        spoken = {day for e in coverage if e["load_id"] in batch for day in _days(e["since"], e["until"])}
        touched = live if self._stream.mode == "snapshot" else self._touched(con, live, superseded, spoken)
        live_rows = (
            f"from {_read([self._folder / name for name in touched])}"
            if touched
            else ("from incoming where false")
        )
        gone = ", ".join(f"'{_sql(load_id)}'" for load_id in superseded) or "''"
        con.execute(
            f"create temp view candidates as select {self._columns} from ({live_rows}) "
            f"where _load_id not in ({gone}) union all select {self._columns} from incoming"
        )
        match self._stream.mode:
            case "snapshot":
                winners = f"from candidates where _load_id = '{_sql(newest)}'"
            case "report":
                winners = self._report_winners(con, coverage)
            case _:
                winners = self._entity_winners()
        new, landed = self._write(con, winners)
        return sorted({*live} - {*touched} | {*new}), landed

    def _touched(
        self, con: duckdb.DuckDBPyConnection, live: list[str], superseded: list[str], spoken: set[str]
    ) -> list[str]:
        """Names of the live files that hold a day, a key or a load that this batch changes."""
        if not live:
            return []
        gone = ", ".join(f"'{_sql(load_id)}'" for load_id in superseded) or "''"
        days = {day for (day,) in con.execute(f"select distinct {self._day} from incoming").fetchall()}
        # A printed range speaks for days without rows too: what older reports had there must go.
        days |= spoken
        touched = {name for name in live if name.split(".")[0] in days}
        rest = [self._folder / name for name in live if name not in touched]
        if rest:
            keys = self._stream.group_key
            same = " and ".join(f"live.{_name(k)} is not distinct from keys.{_name(k)}" for k in keys)
            moved = f"exists (select 1 from keys where {same})" if self._stream.mode == "entity" else "false"
            listed = ", ".join(_name(k) for k in keys)
            con.execute(f"create temp table keys as select distinct {listed} from incoming")
            found = con.execute(
                f"select distinct filename from {_read(rest, filename=True)} as live "
                f"where _load_id in ({gone}) or {moved}"
            ).fetchall()
            touched |= {Path(name).name for (name,) in found}
        return sorted(touched)

    def _entity_winners(self) -> str:
        group = ", ".join(_name(k) for k in self._stream.group_key)
        key = ", ".join(_name(k) for k in self._stream.primary_key)
        newest = "_version_at, _arrived_at, _file_name, _row_number"
        return (
            f"from (from candidates qualify _load_id = first_value(_load_id) over "
            f"(partition by {group} order by {_descending(newest)})) "
            f"qualify row_number() over (partition by {key} order by {_descending(newest)}) = 1"
        )

    def _report_winners(self, con: duckdb.DuckDBPyConnection, coverage: list[dict[str, Any]]) -> str:
        day = _name(str(self._stream.event_day))
        keys = [_name(k) for k in self._stream.replaces]
        con.register(
            "coverage_rows",
            pa.Table.from_pylist(
                [
                    {
                        **{k: e["key"][k] for k in self._stream.replaces},
                        "since": date.fromisoformat(e["since"]),
                        "until": date.fromisoformat(e["until"]),
                        "load_id": e["load_id"],
                        "version_at": datetime.fromisoformat(e["version_at"]),
                        "arrived_at": datetime.fromisoformat(e["arrived_at"]),
                        "file_name": e["file_name"],
                    }
                    for e in coverage
                ],
                schema=pa.schema(
                    [
                        *(self._schema.field(k) for k in self._stream.replaces),
                        pa.field("since", pa.date32()),
                        pa.field("until", pa.date32()),
                        pa.field("load_id", pa.string()),
                        pa.field("version_at", _META[3].type),
                        pa.field("arrived_at", _META[3].type),
                        pa.field("file_name", pa.string()),
                    ]
                ),
            ),
        )
        listed = ", ".join(keys)
        con.execute(
            f"create temp table speakers as select {listed}, covered.day, "
            "max_by(load_id, (version_at, arrived_at, file_name, load_id)) as load_id from ("
            f"select * exclude (since, until), "
            "cast(unnest(generate_series(since, until, interval 1 day)) as date) as day from coverage_rows"
            f") as covered group by {listed}, covered.day"
        )
        same = " and ".join(f"speakers.{k} is not distinct from candidates.{k}" for k in keys)
        # Every row of the newest report is kept: two rows alike may be two hours of one campaign.
        return (
            "select candidates.* from candidates join speakers on "
            f"{same} and speakers.day = candidates.{day} and speakers.load_id = candidates._load_id"
        )

    def _write(self, con: duckdb.DuckDBPyConnection, winners: str) -> tuple[list[str], dict[str, int]]:
        reader = con.sql(
            f"select {self._columns}, {self._day} as _day from ({winners}) "
            "order by _day, _file_name, _row_number"
        ).to_arrow_reader(100_000)
        names: list[str] = []
        landed: dict[str, int] = {}
        writer: pq.ParquetWriter | None = None
        day: str | None = None
        try:
            for batch in reader:
                for load_id, count in _counts(batch.column("_load_id")):
                    landed[load_id] = landed.get(load_id, 0) + count
                rows = batch.drop_columns(["_day"]).cast(self._schema)
                for value, start, stop in _runs(batch.column("_day")):
                    if value != day:
                        _close(writer)
                        day = value
                        names.append(f"{value}.{self._commit}.parquet")
                        writer = pq.ParquetWriter(self._folder / names[-1], self._schema, compression="zstd")
                    assert writer is not None
                    writer.write_batch(rows.slice(start, stop - start))
        finally:
            _close(writer)
        for name in names:
            with (self._folder / name).open("rb") as stream:
                os.fsync(stream.fileno())
        return names, landed


def _close(writer: pq.ParquetWriter | None) -> None:
    if writer is not None:
        writer.close()


def _counts(column: pa.Array[Any]) -> Iterator[tuple[str, int]]:
    for item in pc.value_counts(column):
        yield item["values"].as_py(), item["counts"].as_py()


def _runs(column: pa.Array[Any]) -> Iterator[tuple[str, int, int]]:
    """(value, start, stop) of equal neighbours in a sorted column."""
    start = 0
    # A sorted column's values come out in their order, so counts are lengths of runs.
    for value, count in _counts(column):
        yield value, start, start + count
        start += count


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _descending(columns: str) -> str:
    return ", ".join(f"{column} desc" for column in columns.split(", "))


def _sql(value: object) -> str:
    return str(value).replace("'", "''")


def _read(paths: Iterable[Path], *, filename: bool = False) -> str:
    listed = ", ".join(f"'{_sql(path)}'" for path in paths)
    # The folder source=<name> must not pass for a column: ad spend and sessions have one of that name.
    return (
        f"read_parquet([{listed}], union_by_name = true, "
        f"filename = {str(filename).lower()}, hive_partitioning = false)"
    )


def _append_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if text:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())


def _mend_lines(path: Path) -> None:
    """Cut off a last line that a killed run left unfinished."""
    if not path.exists():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as stream:
            stream.truncate(data.rfind(b"\n") + 1)
