"""The landing zone: inbox files and API windows in, live Parquet by day out, every row accounted for.

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
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from connectors import registry
from connectors.contract import ReadLog, Record, Route, Row, SourceOptions, Window
from connectors.errors import AuthError, ConnectorError, FileRefused, TransientError
from connectors.files import InboxFile
from connectors.privacy import Privacy, to_e164
from pipelines import durable, windows
from pipelines.config import Clinic
from pipelines.inbox import finished, places
from pipelines.loads import LoadRecord, append_records, mend_records, read_records
from pipelines.merge import Replaced
from pipelines.place import REFERENCE, Place, Progress, Shelf, landed_schema, now
from pipelines.reference import read_reference, reference_streams
from pipelines.staged import Staged, Staging


def today(zone: ZoneInfo) -> date:
    """The present day in a zone: the one clock that decides which days are asked of an API."""
    return datetime.now(zone).date()


class Landing:
    """Lands what the inbox holds and what the APIs give. The caller holds the data directory's lock."""

    def __init__(self, clinic: Clinic, privacy: Privacy, progress: Progress | None = None) -> None:
        self._clinic = clinic
        self._shelf = Shelf(clinic.data_dir, privacy, progress or (lambda _what, _rows: None))
        # Source -> why nothing more of it is asked tonight.
        self._stopped: dict[str, str] = {}

    def prepare(self) -> None:
        """Make the folders and the empty schema file of every configured stream; mend loads.jsonl."""
        for _, _, folder in places(self._clinic):
            folder.mkdir(parents=True, exist_ok=True)
        root = self._shelf.root
        for kind, stream in self._clinic.streams():
            folder = root / kind / stream.name
            folder.mkdir(parents=True, exist_ok=True)
            schema, path = landed_schema(stream), folder / "schema.parquet"
            if not path.exists() or not pq.read_schema(path).equals(schema):
                scratch = folder / ".schema.tmp"
                pq.write_table(schema.empty_table(), scratch)
                scratch.replace(path)
        loads = root / "loads.jsonl"
        mend_records(loads)
        # A run killed between the manifest and this file has landed rows that no line tells of.
        told = {record["load_id"] for record in read_records(loads)}
        for manifest in sorted(root.glob("*/*/source=*/manifest.json")):
            held = json.loads(manifest.read_text(encoding="utf-8"))["loads"]
            append_records(
                loads, (LoadRecord(**load["record"]) for load_id, load in held.items() if load_id not in told)
            )

    def land(
        self,
        kind: str,
        stream_name: str,
        *,
        asked: tuple[date, date] | None = None,
        sources: Collection[str] | None = None,
    ) -> list[LoadRecord]:
        """Land one stream of all sources of the kind: every new file, then what the APIs are due to give.

        `asked` re-reads just these days from the APIs of `sources` (None: of all). One record per file or
        window. What cannot be read is a failed record, never an exception: the earlier loads stay and the
        rest goes on.
        """
        if kind == REFERENCE:
            stream = next(s for s in reference_streams() if s.name == stream_name)
            return self._land_files(Place(self._shelf, kind, stream, None))
        records: list[LoadRecord] = []
        for source in self._clinic.sources_of(kind):
            for stream in registry.connector(kind).streams(source):
                if stream.name != stream_name:
                    continue
                place = Place(self._shelf, kind, stream, source)
                records += self._land_files(place)
                route = registry.connector(kind).route(source, stream)
                if route is not None and (asked is None or sources is None or source.name in sources):
                    records += self._land_windows(place, source, route, asked)
        return records

    def landed_days(self, kind: str, stream_name: str) -> set[date]:
        """Days of the stream that this run wrote anew, or read again from an API."""
        return self._shelf.days.get((kind, stream_name), set())

    def _land_files(self, place: Place) -> list[LoadRecord]:
        records = _Inbox(place, self._clinic).land()
        append_records(self._shelf.root / "loads.jsonl", records)
        return records

    def _land_windows(
        self, place: Place, source: SourceOptions, route: Route, asked: tuple[date, date] | None
    ) -> list[LoadRecord]:
        """Read the windows that are due, newest first; after trouble with the vendor, no more tonight."""
        records: list[LoadRecord] = []
        for since, until in _due(place, source, route, asked):
            if source.name in self._stopped:
                error = self._stopped[source.name]
                records.append(
                    place.record("", _label(since, until), "", now(), status="failed", error=error)
                )
                append_records(self._shelf.root / "loads.jsonl", records[-1:])
                break
            try:
                record = _fetch(place, source, route, Window(since, until, source.zone))
            except _WindowFailed as failed:
                record = failed.record
                if isinstance(failed.cause, AuthError):
                    self._stopped[source.name] = f"not asked, because the source was refused: {failed.cause}"
                stop = isinstance(failed.cause, (AuthError, TransientError))
            else:
                stop = False
            records.append(record)
            append_records(self._shelf.root / "loads.jsonl", [record])
            if stop:
                break
        return records


# --- API windows -------------------------------------------------------------------------------------


class _WindowFailed(Exception):
    def __init__(self, record: LoadRecord, cause: ConnectorError) -> None:
        super().__init__(str(cause))
        self.record = record
        self.cause = cause


def _label(since: date, until: date) -> str:
    """How load records name a window."""
    return f"api {since}..{until}"


def _due(
    place: Place, source: SourceOptions, route: Route, asked: tuple[date, date] | None
) -> list[tuple[date, date]]:
    """The windows to read, newest first."""
    present = today(source.zone)
    if route.by == "whole":
        return [(present, present)]
    if asked is None:
        days = windows.wanted(
            since=source.since,
            today=present,
            held=place.held_days(),
            restatement_days=place.stream.restatement_days,
            ahead_days=route.ahead_days,
        )
    else:
        last = min(asked[1].toordinal(), present.toordinal() - 1 + route.ahead_days)
        days = {date.fromordinal(n) for n in range(asked[0].toordinal(), last + 1)}
    return windows.windows(days, route.window_days)


def _fetch(place: Place, source: SourceOptions, route: Route, window: Window) -> LoadRecord:
    """Read one window and commit it whole. Raises _WindowFailed, leaving the earlier batch as it was."""
    started, arrived_at = now(), datetime.now(tz=UTC)
    label = _label(window.since, window.until)
    load_id = hashlib.sha256(f"{place.label}:{label}:{started}:{place.fingerprint}".encode()).hexdigest()[:16]
    record = place.record(load_id, label, load_id, started, status="landed")
    place.shelf.progress(f"{place.label}: {label}", 0)
    log = ReadLog()
    staging = place.staging()
    asked = (window.since, window.until)
    try:
        rows = registry.connector(place.kind).fetch(source, place.stream, window, log)
        staged = place.stage(rows, log, record, staging, arrived_at=arrived_at, asked=asked)
    except ConnectorError as error:
        place.sweep()
        failed = place.record(load_id, label, load_id, started, status="failed", error=str(error))
        raise _WindowFailed(failed, error) from None
    earlier = tuple(load_id for load_id, load in place.manifest["loads"].items() if "asked" in load)
    replaced = Replaced(earlier, route.by, window.since, window.until, window.zone.key)
    place.commit([staged], staging, replaced=replaced)
    place.save()
    place.sweep()
    return record


# --- inbox files -------------------------------------------------------------------------------------


class _Inbox:
    """The files of one place: which are new, what each holds."""

    def __init__(self, place: Place, clinic: Clinic) -> None:
        self._place = place
        self._clinic = clinic
        self._seen: dict[str, list[Any]] = {}
        self._ids_now: set[str] = set()
        self._staged: list[Staged] = []

    def land(self) -> list[LoadRecord]:
        place = self._place
        manifest = place.manifest
        staging = place.staging()
        records: list[LoadRecord] = []
        for path, name in self._files():
            record = self._consider(path, name, staging)
            if record is not None:
                records.append(record)
        if place.kind == REFERENCE and not self._seen and manifest["files"]:
            # The clinic removed the file: the table is empty again.
            manifest |= {"files": [], "loads": {}}
        manifest["failed"] = {k: v for k, v in manifest["failed"].items() if k in self._ids_now}
        if self._staged:
            place.commit(self._staged, staging)
        if self._staged or self._seen != manifest["seen"] or records:
            manifest["seen"] = self._seen
            place.save()
        place.sweep()
        return records

    def _files(self) -> Iterator[tuple[Path, str]]:
        """(path, name in records) of what there is to read, oldest first."""
        place = self._place
        if place.kind == REFERENCE:
            if place.stream.name == "own_numbers":
                yield self._own_numbers(), "clinic.yaml"
                return
            path = self._clinic.data_dir / "reference" / f"{place.stream.name}.csv"
            if path.exists():
                yield path, path.name
            return
        inbox = self._clinic.data_dir / "inbox" / place.source_name / place.stream.name
        files = sorted(finished(inbox), key=lambda file: (file[1].st_mtime_ns, str(file[0])))
        yield from ((path, str(path.relative_to(inbox))) for path, _ in files)

    def _own_numbers(self) -> Path:
        # Keys, not numbers: the numbers stand in clinic.yaml, which this snapshot mirrors.
        place = self._place
        keys = sorted(
            {
                key
                for number in self._clinic.clinic.own_numbers
                if (key := place.shelf.privacy.phone_key(number)) is not None
            }
        )
        path = place.shelf.root / place.kind / place.stream.name / "keys.txt"
        text = "".join(f"{key}\n" for key in keys)
        if not path.exists() or path.read_text() != text:
            durable.write(path, text)
        return path

    def _consider(self, path: Path, name: str, staging: Staging) -> LoadRecord | None:
        """Read one file unless it was read before. None when nothing about it is new."""
        place = self._place
        file = InboxFile(path)
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns]
        before = place.manifest["seen"].get(name)
        file_hash = before[2] if before is not None and before[:2] == mark else file.sha256()
        self._seen[name] = [*mark, file_hash]
        load_id = hashlib.sha256(f"{file_hash}:{place.fingerprint}".encode()).hexdigest()[:16]
        started = now()

        def record(status: str, **figures: Any) -> LoadRecord:
            return place.record(load_id, name, file_hash, started, status=status, **figures)

        # A file that was overwritten and is put back as it was is newer than what came between.
        is_put_back = before is not None and before[2] != file_hash
        if load_id in self._ids_now or (load_id in place.manifest["loads"] and not is_put_back):
            self._ids_now.add(load_id)
            # Lying where it lay is not a load; the same content under a new name or date is one, skipped.
            return None if before == self._seen[name] else record("skipped")
        self._ids_now.add(load_id)
        if load_id in place.manifest["failed"] and before == self._seen[name]:
            return record("failed", error=place.manifest["failed"][load_id])
        place.manifest["failed"].pop(load_id, None)
        place.shelf.progress(f"{place.label}: {name}", 0)
        log = ReadLog()
        landed = record("landed")
        try:
            item = place.stage(self._rows(file, log), log, landed, staging, arrived_at=file.arrived_at)
        except FileRefused as error:
            place.manifest["failed"][load_id] = str(error)
            return record("failed", error=str(error))
        landed.encoding = file.encoding
        self._staged.append(item)
        return landed

    def _rows(self, file: InboxFile, log: ReadLog) -> Iterator[Record]:
        place, clinic = self._place, self._clinic.clinic
        if place.source is not None:
            return registry.connector(place.kind).read(file, place.stream, place.source, log)
        if place.stream.name == "own_numbers":
            return self._own_number_rows()
        return read_reference(file, place.stream, zone=clinic.timezone, region=clinic.phone_region, log=log)

    def _own_number_rows(self) -> Iterator[Row]:
        clinic = self._clinic.clinic
        numbers = dict.fromkeys(to_e164(own, clinic.phone_region) for own in clinic.own_numbers)
        for number, own in enumerate(numbers, start=1):
            yield Row(number, {"phone_key": own})
