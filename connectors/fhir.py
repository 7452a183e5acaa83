"""FHIR R4 servers: the files of a bulk export, dropped into the inbox or asked of the server's `$export`.

Format: HL7 FHIR R4 (hl7.org/fhir/R4) as written by the Bulk Data export, one resource a line; R5 names that
replace R4's are read too. One stream per resource type under `inbox/<source>/<stream>/`; resources of other
types in a file are counted as skipped. Bundles of DELETE requests, the export's `deleted` files, remove.

A reference to staff or a place may be literal (`Practitioner/12`), conditional
(`Practitioner?identifier=system|value`) or an identifier object without `reference`. All three land, as an
id or as `system|value`, and staging resolves them by joins: a join on ids alone would silently lose every
doctor of a server that writes the others. Patients are only known by `Patient/<id>`: an identifier of a
person may be a national number, and such an encounter is quarantined.

    python -m connectors.fhir --stream encounters Encounter.000.ndjson
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, SecretStr, field_validator, model_validator

from connectors import _fhir_billing, _fhir_clinical, cli
from connectors._api import RefreshedToken
from connectors._fhir_bulk import BulkServer, Part
from connectors._fhir_parts import Kind, Resource, items_of, read_reference, read_time, text_of
from connectors.contract import Connector, ReadLog, Route, Row, SourceOptions, Stream, Window
from connectors.errors import FileRefused, IncompleteError, RowRefused
from connectors.files import InboxFile

_KINDS = {kind.stream.name: kind for kind in (*_fhir_clinical.KINDS, *_fhir_billing.KINDS)}
_EXPORT = re.compile(r"(?:Patient/|Group/[A-Za-z0-9.-]{1,64}/)?\$export")
# A longer window is the first one: everything is asked for, however long ago it changed, days.
_FIRST_DAYS = 300
# However many nights were missed, one export brings what changed since.
_ALL_DAYS = 100_000
_FAULTS = frozenset({"error", "fatal"})


class FhirOptions(SourceOptions):
    """A source of kind `fhir`. `timezone` is that of days without a time and of times without an offset.

    With `base_url` the server's bulk export is read: with a `token`, or with client credentials at
    `token_url`. `export` is the operation (`$export`, `Patient/$export`, `Group/<id>/$export`); `resources`
    are the streams asked for, all by default. `incremental` asks for changes since the last nights, not
    for everything every night. `file_hosts` are further hosts that may be sent the token.
    """

    reach: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "token_url", "client_id", "scope", "file_hosts", "resources", "incremental"}
    )

    # A message about settings that do not fit must not repeat the secrets among them.
    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["fhir"] = "fhir"
    base_url: str | None = None
    export: str = "$export"
    token: SecretStr | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    scope: str = "system/*.read"
    file_hosts: tuple[str, ...] = ()
    resources: tuple[str, ...] | None = None
    incremental: bool = True

    @field_validator("export")
    @classmethod
    def _operation(cls, value: str) -> str:
        if not _EXPORT.fullmatch(value):
            raise ValueError("write $export, Patient/$export or Group/<id>/$export")
        return value

    @field_validator("resources")
    @classmethod
    def _streams(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if unknown := sorted(set(value or ()) - _KINDS.keys()):
            raise ValueError(f"unknown {', '.join(unknown)}; there are {', '.join(_KINDS)}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> FhirOptions:
        client = (self.token_url, self.client_id, self.client_secret)
        if any(client) and not all(client):
            raise ValueError("token_url, client_id and client_secret belong together")
        if self.token is not None and any(client):
            raise ValueError("give a token or client credentials, not both")
        if (self.token is not None or any(client)) and self.base_url is None:
            raise ValueError("credentials without base_url, the address of the FHIR server")
        return self


class Fhir(Connector[FhirOptions]):
    """FHIR R4 bulk export."""

    kind: ClassVar[str] = "fhir"
    title: ClassVar[str] = "FHIR R4 bulk export"
    options: ClassVar[type[SourceOptions]] = FhirOptions
    feeds: ClassVar[tuple[str, ...]] = ("appointments", "visits", "visit_lines", "payments", "patients")

    def streams(self, source: FhirOptions) -> tuple[Stream, ...]:
        """One stream per resource type."""
        return tuple(kind.stream for kind in _KINDS.values())

    def read(self, file: InboxFile, stream: Stream, source: FhirOptions, log: ReadLog) -> Iterator[Row]:
        """Yield one row per resource of the stream's type, or per line of it.

        Raises FileRefused when a line is not JSON, or the file has only resources of other types.
        """
        kind = _KINDS[stream.name]
        others: dict[str, int] = {}
        rows = 0
        for row in _rows(file, kind, source.zone, log, others):
            rows += 1
            yield row
        if not rows:
            _refuse(file, kind, others)

    def route(self, source: FhirOptions, stream: Stream) -> Route | None:
        """Changes, or everything every night."""
        if source.base_url is None or (source.resources is not None and stream.name not in source.resources):
            return None
        return Route(by="change", window_days=_ALL_DAYS) if source.incremental else Route(by="whole")

    def fetch(self, source: FhirOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield what an export of the stream's type holds: changes since the window began, or everything.

        A window of one day is the whole table's, and the first window of all asks for everything too.
        Raises ApiError; IncompleteError when the server's data end before the window does.
        """
        kind = _KINDS[stream.name]
        is_whole = window.since == window.until
        is_first = (window.until - window.since).days >= _FIRST_DAYS or (
            source.since is not None and window.since <= source.since
        )
        number = 0
        for part in _server(source).export(
            source.export,
            kind.resource_type,
            since=None if is_whole or is_first else window.starts_at,
            reaches=None if is_whole else window.ends_at,
        ):
            for row in _part_rows(part, kind, source, log):
                number += 1
                row.number = number
                yield row

    def probe(self, source: FhirOptions) -> str:
        """Start an export and cancel it: only that tries the credentials."""
        return _server(source).probe(source.export)


def _server(source: FhirOptions) -> BulkServer:
    assert source.base_url is not None, "route() gives no route without it"
    authorisation = None
    if source.token_url is not None and source.client_id is not None and source.client_secret is not None:
        authorisation = RefreshedToken(
            source.name,
            source.token_url,
            client_id=source.client_id,
            client_secret=source.client_secret,
            scope=source.scope,
            setting="client_secret",
        )
    return BulkServer(
        source.name,
        source.base_url,
        token=source.token,
        authorisation=authorisation,
        file_hosts=source.file_hosts,
    )


def _part_rows(part: Part, kind: Kind, source: FhirOptions, log: ReadLog) -> Iterator[Row]:
    """The rows of one file of an export. Raises IncompleteError when it is shorter than announced."""
    if part.section == "error":
        for _, outcome in part.answer.json_lines():
            for issue in items_of(outcome, "issue"):
                if isinstance(issue, dict) and issue.get("severity") in _FAULTS:
                    yield Row(0, {}, ("", "the server could not export this resource"))
                else:
                    log.skip("remark of the server on its export")
        return
    counted = _Counted(part.answer)
    yield from _rows(counted, kind, source.zone, log, {}, part.transaction_time)
    if part.section == "output" and part.count is not None and counted.lines != part.count:
        raise IncompleteError(
            f"{source.name}: a file of {kind.resource_type} holds {counted.lines} resources, not "
            f"{part.count} as the server announced; the next night asks again"
        )


class _Counted:
    """A file whose lines are counted as they are read."""

    def __init__(self, file: InboxFile) -> None:
        self._file = file
        self.lines = 0
        self.arrived_at = file.arrived_at

    def json_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in self._file.json_lines():
            self.lines += 1
            yield number, line


def _rows(
    file: InboxFile | _Counted,
    kind: Kind,
    zone: ZoneInfo,
    log: ReadLog,
    others: dict[str, int],
    deleted_at: datetime | None = None,
) -> Iterator[Row]:
    """The rows of a file; resources of other types are counted in `others`."""
    horizon = file.arrived_at
    for number, resource in file.json_lines():
        type_ = resource.get("resourceType")
        if type_ == "Bundle":
            yield from _deletions(number, resource, kind, zone, log, deleted_at)
        elif type_ == kind.resource_type:
            yield from _resource_rows(number, resource, kind, zone, horizon)
        else:
            name = type_ if isinstance(type_, str) and type_.isalpha() else "none"
            others[name] = others.get(name, 0) + 1
            log.skip(f"resource of type {name[:40]}")


def _resource_rows(
    number: int, resource: Resource, kind: Kind, zone: ZoneInfo, horizon: datetime
) -> Iterator[Row]:
    try:
        meta = resource.get("meta")
        updated = read_time(meta.get("lastUpdated") if isinstance(meta, dict) else None, "last_updated", zone)
        rows = kind.rows(resource, zone)
        for values in rows:
            values["last_updated"] = updated
            if values.get("status") in _fhir_clinical.FINISHED and "period_start" in values:
                _refuse_future(values["period_start"], horizon)
    except RowRefused as error:
        own_id = {kind.stream.primary_key[0]: text_of(resource.get("id"))}
        yield Row(number, own_id, (error.column, error.reason))
    else:
        for values in rows:
            yield Row(number, values)


def _deletions(
    number: int, bundle: Resource, kind: Kind, zone: ZoneInfo, log: ReadLog, deleted_at: datetime | None
) -> Iterator[Row]:
    """What a transaction Bundle of DELETE requests removes."""
    meta = bundle.get("meta")
    at = read_time(meta.get("lastUpdated") if isinstance(meta, dict) else None, "last_updated", zone)
    for entry in items_of(bundle, "entry"):
        request = entry.get("request") if isinstance(entry, dict) else None
        if not isinstance(request, dict) or request.get("method") != "DELETE":
            log.skip("entry of a Bundle that deletes nothing")
            continue
        target = read_reference({"reference": request.get("url")})
        if target.type != kind.resource_type or target.id is None:
            log.skip("deletion of another type")
            continue
        key = {kind.stream.primary_key[0]: target.id, **kind.line}
        yield Row(number, {**key, "is_deleted": True, "last_updated": at or deleted_at})


def _refuse(file: InboxFile, kind: Kind, others: dict[str, int]) -> None:
    if not others:
        raise FileRefused(f"{file.name}: is empty; export it again")
    found = max(others, key=lambda name: others[name])
    home = next((k.stream.name for k in _KINDS.values() if k.resource_type == found), None)
    raise FileRefused(
        f"{file.name}: holds no {kind.resource_type}, but {found}; "
        + (f"move it to the folder {home}/" if home else f"this stream reads {kind.resource_type} NDJSON")
    )


def _refuse_future(start: datetime, arrived_at: datetime) -> None:
    if start.year <= arrived_at.year + 1 and (start - arrived_at).days >= 1:
        raise RowRefused("period_start", "lies in the future of the file, yet the encounter is finished")


CONNECTOR = Fhir()

if __name__ == "__main__":
    cli.main(CONNECTOR)
