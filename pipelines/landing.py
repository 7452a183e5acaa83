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
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

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
from pipelines import durable, quote
from pipelines.config import Clinic
from pipelines.inbox import finished, places
from pipelines.loads import LoadRecord, append_records, mend_records, read_records
from pipelines.merge import Merge
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
_NO_VERSION = datetime(1970, 1, 1, tzinfo=UTC)
# Rows of one file that are kept in memory before they go to a staging file of their own.
_KEPT_ROWS = 10_000
REFERENCE = "reference"

Progress = Callable[[str, int], None]


@dataclass
class _Staged:
    """A file that was read and checked and waits to be merged."""

    record: LoadRecord
    # (version, arrival, name) as sortable text: which of two whole files is newer.
    rank: tuple[str, str, str]
    coverage: list[dict[str, Any]]
    quarantine: Path | None


class _Staging:
    """Files read tonight, waiting to be merged: small ones share one Parquet file, large ones have their own.

    A night of 500 daily exports would otherwise make and remove 500 files of a few kilobytes.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._small: pq.ParquetWriter | None = None
        self._paths: list[Path] = []

    @contextmanager
    def file(self, load_id: str) -> Iterator[_StagedFile]:
        """Where one file's rows go; they count only when the block ends without an exception."""
        self._folder.mkdir(exist_ok=True)
        target = _StagedFile(self._folder, load_id, self._schema)
        try:
            yield target
        finally:
            target.close()
        if target.path is not None:
            self._paths.append(target.path)
            return
        for batch in target.kept:
            if self._small is None:
                self._paths.append(self._folder / "small.parquet")
                self._small = pq.ParquetWriter(self._paths[-1], self._schema)
            self._small.write_batch(batch)

    def files(self) -> list[Path]:
        """The staged files, complete. At least one, so that a batch of empty exports merges too."""
        if self._small is not None:
            self._small.close()
            self._small = None
        if not self._paths:
            self._paths.append(self._folder / "empty.parquet")
            pq.write_table(self._schema.empty_table(), self._paths[-1])
        return self._paths


class _StagedFile:
    """The rows of one file: kept in memory up to a batch, then on disk."""

    def __init__(self, folder: Path, load_id: str, schema: pa.Schema) -> None:
        self._stem = folder / load_id
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._refused: IO[str] | None = None
        self.kept: list[pa.RecordBatch] = []
        self.path: Path | None = None
        self.quarantine: Path | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        self.kept.append(batch)
        if self._writer is None and sum(kept.num_rows for kept in self.kept) > _KEPT_ROWS:
            self.path = self._stem.with_suffix(".parquet")
            self._writer = pq.ParquetWriter(self.path, self._schema)
        if self._writer is not None:
            for kept in self.kept:
                self._writer.write_batch(kept)
            self.kept.clear()

    def refuse(self, line: dict[str, Any]) -> None:
        if self._refused is None:
            self.quarantine = self._stem.with_suffix(".jsonl")
            self._refused = self.quarantine.open("w", encoding="utf-8")
        self._refused.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        for opened in (self._writer, self._refused):
            if opened is not None:
                opened.close()


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
        for _, _, folder in places(self._clinic):
            folder.mkdir(parents=True, exist_ok=True)
        for kind, stream in self._clinic.streams():
            folder = self._root / kind / stream.name
            folder.mkdir(parents=True, exist_ok=True)
            schema, path = landed_schema(stream), folder / "schema.parquet"
            if not path.exists() or not pq.read_schema(path).equals(schema):
                scratch = folder / ".schema.tmp"
                pq.write_table(schema.empty_table(), scratch)
                scratch.replace(path)
        loads = self._root / "loads.jsonl"
        mend_records(loads)
        # A run killed between the manifest and this file has landed rows that no line tells of.
        told = {record["load_id"] for record in read_records(loads)}
        for manifest in sorted(self._root.glob("*/*/source=*/manifest.json")):
            held = json.loads(manifest.read_text(encoding="utf-8"))["loads"]
            append_records(
                loads, (LoadRecord(**load["record"]) for load_id, load in held.items() if load_id not in told)
            )

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
        staging = _Staging(self._folder / ".staging", self._schema)
        seen: dict[str, list[Any]] = {}
        ids_now: set[str] = set()
        for path, name in self._inbox_files():
            record = self._consider(path, name, seen, ids_now, staged, staging)
            if record is not None:
                records.append(record)
        if self._kind == REFERENCE and not seen and self._manifest["files"]:
            # The clinic removed the file: the table is empty again.
            self._manifest |= {"files": [], "loads": {}}
        self._manifest["failed"] = {k: v for k, v in self._manifest["failed"].items() if k in ids_now}
        if staged:
            self._merge(staged, staging)
        if staged or seen != self._manifest["seen"] or records:
            self._manifest["seen"] = seen
            durable.write(self._manifest_path, json.dumps(self._manifest, ensure_ascii=False, indent=1))
        shutil.rmtree(self._folder / ".staging", ignore_errors=True)
        self._sweep()
        append_records(self._landing._root / "loads.jsonl", records)
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
        files = sorted(finished(inbox), key=lambda file: (file[1].st_mtime_ns, str(file[0])))
        yield from ((path, str(path.relative_to(inbox))) for path, _ in files)

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
            durable.write(path, text)
        return path

    def _consider(
        self,
        path: Path,
        name: str,
        seen: dict[str, list[Any]],
        ids_now: set[str],
        staged: list[_Staged],
        staging: _Staging,
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

        # A file that was overwritten and is put back as it was is newer than what came between.
        is_put_back = before is not None and before[2] != file_hash
        if load_id in ids_now or (load_id in self._manifest["loads"] and not is_put_back):
            ids_now.add(load_id)
            # Lying where it lay is not a load; the same content under a new name or date is one, skipped.
            return None if before == seen[name] else record("skipped")
        ids_now.add(load_id)
        if load_id in self._manifest["failed"] and before == seen[name]:
            return record("failed", error=self._manifest["failed"][load_id])
        self._manifest["failed"].pop(load_id, None)
        self._landing._progress(f"{self._source_name}/{self._stream.name}: {name}", 0)
        try:
            item = self._stage(file, record("landed"), staging)
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

    def _stage(self, file: InboxFile, record: LoadRecord, staging: _Staging) -> _Staged:
        """Read and check a file into the staging folder. Raises FileRefused, leaving nothing staged."""
        log = ReadLog()
        arrived_at = file.arrived_at
        load_columns = {
            "source_name": self._source_name,
            "_load_id": record.load_id,
            "_arrived_at": arrived_at,
            "_file_name": record.file,
        }
        coverage: dict[tuple[Any, ...], list[date]] = {}
        with staging.file(record.load_id) as target:
            rows = self._rows(file, log)
            for checked in check(rows, self._stream, self._landing._privacy, log, arrived_at=arrived_at):
                record.rows_read += checked.rows_read
                for bad in checked.quarantined:
                    record.rows_quarantined += 1
                    why = f"{bad.column}: {bad.reason}" if bad.column else bad.reason
                    record.quarantine_reasons[why] = record.quarantine_reasons.get(why, 0) + 1
                    target.refuse({"load_id": record.load_id, "file_hash": record.file_hash, **asdict(bad)})
                batch = self._with_load(checked.batch, load_columns, log.exported_at or arrived_at)
                target.write(batch)
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
            rank=(_utc(version_at), _utc(arrived_at), record.file),
            coverage=self._coverage(coverage, log, record, version_at, arrived_at),
            quarantine=target.quarantine,
        )

    def _with_load(self, batch: pa.RecordBatch, load: dict[str, Any], version_at: datetime) -> pa.RecordBatch:
        rows = batch.num_rows
        columns: dict[str, Any] = dict(zip(batch.schema.names, batch.columns, strict=True))
        if self._stream.version is not None:
            # A row without a version never beats one that has it, whenever its file arrived.
            versions = pc.fill_null(columns[self._stream.version], pa.scalar(_NO_VERSION, _META[3].type))
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

    def _merge(self, staged: list[_Staged], staging: _Staging) -> None:
        """Resolve which rows are newest, write the touched days anew and swap the manifest's files."""
        commit = uuid.uuid4().hex[:8]
        hashes = {item.record.file_hash for item in staged}
        loads: dict[str, Any] = self._manifest["loads"]
        # The same file read anew after a mending of the mapping supersedes its old load.
        superseded = {load_id for load_id, load in loads.items() if load["record"]["file_hash"] in hashes}
        if self._kind == REFERENCE:
            # The one file that lies there is the table, however old its date.
            superseded = set(loads)
        for load_id in superseded:
            del loads[load_id]
            (self._quarantine / f"{load_id}.jsonl").unlink(missing_ok=True)
        merge = Merge(self._stream, self._schema, self._folder, commit)
        with duckdb.connect() as con:
            con.execute("set TimeZone = 'UTC'")
            con.execute("set preserve_insertion_order = false")
            con.execute("set memory_limit = '1GB'")
            con.execute(f"set temp_directory = {quote.text(self._folder / '.staging' / 'spill')}")
            coverage = [e for load in loads.values() for e in load["coverage"]]
            coverage += [e for item in staged for e in item.coverage]
            ranks = [(*load["rank"], load_id) for load_id, load in loads.items()]
            ranks += [(*item.rank, item.record.load_id) for item in staged]
            files, landed = merge.run(
                con,
                live=list(self._manifest["files"]),
                incoming=staging.files(),
                loads={item.record.load_id for item in staged},
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
