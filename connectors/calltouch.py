"""Calltouch: its journals of calls and of requests, from the API or saved to a file; calls as a table too.

Calls are the answer of `GET /calls-service/RestAPI/{siteId}/calls-diary/calls`, with or without paging: an
object `{page, pageTotal, pageSize, recordsTotal, records: [...]}`, or a bare array. Requests (forms, leads,
orders of a callback) are that of `GET /calls-service/RestAPI/requests`, a bare array. Field meanings:
www.calltouch.ru/support/api-metod-vygruzki-zhurnala-zvonkov and vygruzka-zhurnala-zayavok-cherez-api, and
a real journal (62 fields). The two differ: calls have epoch seconds, `clientId` and `keyword`, requests epoch
milliseconds, `guaClientId` and `keywords`, and ids are unique within one journal only.

    python -m connectors.calltouch FILE --stream calls
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from pydantic import SecretStr, model_validator

from connectors import cli
from connectors._call_exports import AccountId, check_export, is_table, read_export
from connectors._calltouch_api import Journals
from connectors._calltouch_rows import LATEST_EPOCH, call_row, request_row
from connectors._mapped_columns import constant, equals
from connectors.contract import (
    Block,
    Column,
    Connector,
    ReadLog,
    Record,
    Route,
    Row,
    SourceOptions,
    Stream,
    Window,
)
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.mapped_file import StreamMapping

_ORIGIN = (
    Column(
        "visitor_id", "text", "Google's client id as ga:…, else Metrica's as ym:…, else Calltouch's as ct:…."
    ),
    Column("source", "text", "source, lower case; NULL for a dedicated number without a web session."),
    Column("medium", "text", "medium, lower case."),
    Column("keyword", "text", "keyword; NULL when not provided."),
    Column("utm_source", "text", "utmSource, else of the page, lower case."),
    Column("utm_medium", "text", "utmMedium, else of the page, lower case."),
    Column("utm_campaign", "text", "utmCampaign, else of the page."),
    Column("utm_content", "text", "utmContent, else of the page."),
    Column("utm_term", "text", "utmTerm, else of the page."),
    Column("campaign_id", "text", "campaignId of yandexDirect or googleAdWords, else of the page."),
    Column("click_id_type", "text", "Which click id the landing page carried."),
    Column("click_id", "text", "The click id, case kept."),
    Column("landing_path", "text", "Path of url, the session's landing page."),
    Column("referrer_host", "text", "Host of ref."),
    Column("attribution", "integer", "Model by which Calltouch chose the source: 1 last non-direct, 0 last."),
)

CALLS = Stream(
    name="calls",
    description="Calls through tracked numbers, one row per call, as Calltouch has them now.",
    columns=(
        Column("call_id", "text", "callId.", required=True),
        Column("site_id", "text", "siteId, the Calltouch project."),
        Column("called_at", "timestamp", "timestamp: start of the call.", required=True),
        Column("is_finished", "boolean", "False while callphase was still callconnected at the export."),
        Column("is_callback", "boolean", "callbackCall: made by the callback service."),
        Column("phone_key", "text", "callerNumber, hashed; NULL when withheld or masked.", personal="phone"),
        Column("tracking_number", "text", "phoneNumber: the number that was dialled, E.164."),
        Column("duration_s", "integer", "duration as reported: may be negative, or above zero unanswered."),
        Column("waiting_s", "integer", "waitingConnect; NULL is unknown, not zero."),
        Column("is_successful", "boolean", "successful: a conversation took place."),
        Column("is_target", "boolean", "targetCall: meets the project's target rule."),
        Column("status", "text", "statusDetails."),
        Column("manager", "text", "manager."),
        *_ORIGIN,
        Column("tags", "text[]", "callTags, each `type: name`."),
        Column("recording_ref", "text", "siteId/callId of a call that can have a recording."),
        Column("pbx_ref", "text", "callReferenceId: the call's id at the clinic's own exchange."),
        Column("callback_ref", "text", "callbackInfo.callbackRequestId: groups the attempts of one request."),
    ),
    primary_key=("call_id",),
    event_day="called_at",
    # Tags, managers and Predict results arrive for weeks; the journal is small enough to re-read.
    restatement_days=35,
)

CONTACTS = Stream(
    name="contacts",
    description="Requests: forms, leads and callback orders, one row each, as Calltouch has them now.",
    columns=(
        Column("request_id", "text", "requestId; calls have a sequence of their own.", required=True),
        Column("site_id", "text", "siteId, the Calltouch project."),
        Column("requested_at", "timestamp", "date: when it was made.", required=True),
        Column("phone_key", "text", "client.phones, hashed: the first number.", personal="phone"),
        Column("email_key", "text", "client.contacts, hashed: the first address.", personal="email"),
        Column("is_target", "boolean", "targetRequest: meets the project's target rule."),
        Column("status_raw", "text", "status."),
        Column("manager", "text", "manager."),
        *_ORIGIN,
        Column("tags", "text[]", "RequestTags, each `type: name`."),
    ),
    primary_key=("request_id",),
    event_day="requested_at",
    restatement_days=35,
)

# The journals' fields, so that only new ones are reported.
_CALL_FIELDS = """
    additionalTags attribution attrs browser callClientUniqueId callId callReferenceId callTags
    callUrl callbackCall callbackInfo callerNumber callphase city clientId comments ctCallerId
    ctClientId ctGlobalId customFields date dcm device duration googleAdWords hostname ip keyword
    manager mapVisits medium order orders os phoneNumber phonesInText phrases poolType
    redirectNumber ref sessionDate sessionId sipCallId siteId siteName source statusDetails
    subPoolName successful targetCall timestamp uniqTargetCall uniqueCall url userAgent utmCampaign
    utmContent utmMedium utmSource utmTerm waitingConnect yaClientId yandexDirect
"""
_REQUEST_FIELDS = """
    RequestTags client comments ctClientId ctGlobalId customFields date dateStr dcm googleAdWords manager
    mapVisits order orders requestId requestNumber requestType requestUrl session siteId siteName status
    subject targetRequest uniqTargetRequest uniqueRequest widgetInfo yandexDirect
"""
# Column of the mapped table -> landed column.
_EXPORTED = {
    "call_id": "call_id",
    "called_at": "called_at",
    "direction": "direction",
    "phone_key": "phone_key",
    "tracking_number": "tracking_number",
    "talk_s": "duration_s",
    "wait_s": "waiting_s",
    "is_answered": "is_successful",
    "vendor_is_target": "is_target",
    "status_raw": "status",
    "operator": "manager",
    "visitor_id": "visitor_id",
    "source": "source",
    "medium": "medium",
    "utm_source": "utm_source",
    "utm_medium": "utm_medium",
    "utm_campaign": "utm_campaign",
    "campaign_id": "campaign_id",
    "utm_content": "utm_content",
    "utm_term": "utm_term",
    "click_id_type": "click_id_type",
    "click_id": "click_id",
    "landing_path": "landing_path",
    "referrer_host": "referrer_host",
    "tags": "tags",
    "recording_ref": "recording_ref",
    "pbx_ref": "pbx_ref",
    "callback_ref": "callback_ref",
}
_CHECKED_FOR_ZONE = 50


class CalltouchOptions(SourceOptions):
    """`timezone` is the project's: `date` is compared with it, times are taken from `timestamp`.

    `site_id` and `token` are those of the cabinet's page Integrations, API. `attribution` is the model by
    which the API is asked to choose sources: 1 last non-direct interaction, 0 last. `export` maps the
    headings of the table that the cabinet downloads.
    """

    site_id: AccountId = None
    token: SecretStr | None = None
    attribution: Literal[0, 1] = 1
    export: StreamMapping | None = None
    base_url: str = "https://api.calltouch.ru"

    @model_validator(mode="after")
    def _whole(self) -> CalltouchOptions:
        if self.token is not None and self.site_id is None:
            raise ValueError("the token needs site_id too: the project's number, beside it in the cabinet")
        if self.site_id is not None and not self.site_id.isdecimal():
            raise ValueError("site_id: write the project's number, from Integrations, API")
        if self.export is not None:
            check_export(self, self.export, _EXPORTED)
        return self


class Calltouch(Connector[CalltouchOptions]):
    """Journals of calls and requests of Calltouch."""

    kind = "calltouch"
    title = "Calltouch"
    options = CalltouchOptions
    feeds = ("calls", "contacts")
    parser_version = 2

    def streams(self, source: CalltouchOptions) -> tuple[Stream, ...]:
        """Calls, and the requests as contacts."""
        return (CALLS, CONTACTS)

    def mapping(self, source: CalltouchOptions, stream: Stream) -> object:
        """Of the requests, `export` says nothing; `attribution` decides what the API answers."""
        settings: dict[str, Any] = {
            "region": source.clinic_phone_region,
            "zone": source.zone.key,
            "site_id": source.site_id,
            "attribution": source.attribution,
        }
        if stream.name == "calls" and source.export is not None:
            settings["export"] = source.export.model_dump(mode="json")
        return settings

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: CalltouchOptions,
        log: ReadLog,
    ) -> Iterator[Record]:
        """Yield calls or requests in the file's order.

        Raises FileRefused for anything that is not that journal and for a page with fewer calls than its
        head announces.
        """
        journal = _JOURNALS[stream.name]
        if journal is _CALLS and source.export is not None and is_table(file):
            for record in read_export(file, source.export, source, log, _EXPORTED):
                yield _exported(record) if isinstance(record, Row) else _exported_block(record)
            return
        prefix, head = _envelope(file, journal)
        for name in ("page", "pageTotal", "pageSize", "recordsTotal"):
            if name in head:
                log.control_totals["answer", name] = Decimal(head[name])
        if head.get("pageTotal", 0) > 1:
            log.notes.append(f"page {head.get('page')} of {head['pageTotal']}")
        reading = _Reading(journal, source, log)
        for number, record in file.json_items(prefix):
            yield reading.row(file.name, number, record)
        reading.note()
        expected = _expected(head)
        if expected is not None and reading.count < expected:
            raise FileRefused(
                f"{file.name}: holds {reading.count} of {expected} {journal.what}; the export is not whole, "
                "repeat it"
            )

    def route(self, source: CalltouchOptions, stream: Stream) -> Route | None:
        """All that may be restated at once: each of its days is asked for once a night."""
        return None if source.token is None else Route(by="day", window_days=35)

    def fetch(self, source: CalltouchOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the window's calls or requests, each once.

        Which zone the days of a request are in is the project's setting, so the days beside the window are
        asked for too and what lies outside it is left out. Raises ApiError, or FileRefused for records of
        something else.
        """
        journal = _JOURNALS[stream.name]
        journals = _journals(source)
        pages = journals.calls(window, log) if journal is _CALLS else journals.requests(window)
        reading = _Reading(journal, source, log)
        time, key = stream.event_day or "", stream.primary_key[0]
        seen: set[str] = set()
        number = 0
        for records in pages:
            for record in records:
                number += 1
                row = reading.row(source.name, number, record)
                at, record_id = row.values[time], row.values[key]
                if record_id in seen or not (at is None or window.starts_at <= at < window.ends_at):
                    continue
                if record_id is not None:
                    seen.add(record_id)
                yield row
        reading.note()

    def probe(self, source: CalltouchOptions) -> str:
        """Ask for one call of yesterday. Raises ApiError."""
        yesterday, total = _journals(source).yesterday(source.zone)
        return f"answers as site {source.site_id}; {total} calls on {yesterday}"


def _journals(source: CalltouchOptions) -> Journals:
    assert source.token is not None
    assert source.site_id is not None
    return Journals(
        source.name,
        source.base_url,
        site_id=source.site_id,
        token=source.token,
        attribution=source.attribution,
    )


@dataclass(frozen=True)
class _Journal:
    """What tells the two journals apart."""

    what: str
    key: str
    # Local text of the time that `epoch` gives, and how many of its units make a second.
    local: str
    epoch: str
    per_second: int
    known: frozenset[str]
    remedy: str
    # (record number, record, phone region) -> (row, whether a tag was not filled in)
    row: Callable[[int, dict[str, Any], str], tuple[Row, bool]]


@dataclass
class _Reading:
    """What is counted over the records of a file, or of a window's answers."""

    journal: _Journal
    source: CalltouchOptions
    log: ReadLog
    count: int = 0
    checked: int = 0
    strangers: int = 0
    macros: int = 0

    def row(self, name: str, number: int, record: Any) -> Row:
        """The record's row. Raises FileRefused, with the file's or source's name, for another journal's."""
        journal = self.journal
        if not isinstance(record, dict) or journal.key not in record:
            raise FileRefused(_another(name, number, record, journal))
        self.count += 1
        if self.checked < _CHECKED_FOR_ZONE:
            self.checked += 1
            self.strangers += not _agrees(record, journal, self.source.zone)
        if not record.keys() <= journal.known:
            self.log.unknown_columns.update(record.keys() - journal.known)
        row, has_macro = journal.row(number, record, self.source.clinic_phone_region)
        self.macros += has_macro
        return row

    def note(self) -> None:
        """Say what was found, once."""
        journal = self.journal
        if self.strangers:
            self.log.notes.append(
                f"`{journal.local}` of {self.strangers} of the first {self.checked} {journal.what} is not "
                f"`{journal.epoch}` in {self.source.zone.key}; `{journal.epoch}` was taken (set `timezone:` "
                "of the source)"
            )
        if self.macros:
            self.log.notes.append(
                f"{self.macros} {journal.what} have a tag that the ad platform did not fill in ({{…}})"
            )


def _envelope(file: InboxFile, journal: _Journal) -> tuple[str, dict[str, int]]:
    """(ijson prefix of the records, whole numbers of the answer's head)."""
    remedy = journal.remedy
    first = file.first_character()
    if first == "[":
        return "item", {}
    if first == "":
        raise FileRefused(f"{file.name}: is empty; {remedy}")
    if first == "<":
        raise FileRefused(
            f"{file.name}: is an HTML page, which Calltouch sends for an unknown method or site; {remedy}"
        )
    if first != "{":
        mapped = (
            " (a table of the cabinet is read once `export:` maps its headings)" if is_table(file) else ""
        )
        raise FileRefused(f"{file.name}: is not JSON{mapped}; {remedy}")
    head: dict[str, int] = {}
    names: list[str] = []
    has_records = False
    for name, event, value in file.json_head():
        names.append(name)
        if name == "records" and event == "start_array":
            has_records = True
        elif event == "number":
            head[name] = int(value)
    if not has_records:
        told = ", ".join(sorted(set(names))[:5]) or "nothing"
        what = (
            "an error answer"
            if any("error" in name.lower() for name in names)
            else f"no {journal.what} journal"
        )
        raise FileRefused(f"{file.name}: is {what} (it has {told} but no records); {remedy}")
    return "records.item", head


def _expected(head: Mapping[str, int]) -> int | None:
    """How many calls this page must hold, None when its head does not tell."""
    page, pages, size, total = (head.get(n) for n in ("page", "pageTotal", "pageSize", "recordsTotal"))
    if total is None:
        return None
    if page is None or pages is None or pages <= 1:
        return total
    if size is None:
        return None
    return size if page < pages else max(total - (pages - 1) * size, 0)


def _another(name: str, number: int, record: object, journal: _Journal) -> str:
    for stream, other in _JOURNALS.items():
        if isinstance(record, dict) and other.key in record:
            what = f"is the {other.what} journal, which belongs into the folder {stream}"
            break
    else:
        what = f"record {number} has no {journal.key}, so this is no {journal.what} journal"
    return f"{name}: {what}; {journal.remedy}"


def _agrees(record: Mapping[str, Any], journal: _Journal, zone: ZoneInfo) -> bool:
    """Whether the local text of the time is the epoch in the project's zone."""
    written, epoch = record.get(journal.local), record.get(journal.epoch)
    if not isinstance(written, str) or not isinstance(epoch, int):
        return True
    seconds = epoch // journal.per_second
    if not 0 < seconds < LATEST_EPOCH:
        return True
    return datetime.fromtimestamp(seconds, zone).strftime("%d/%m/%Y %H:%M:%S") == written


_OUTBOUND = ("is_callback", "is an outbound call, which Calltouch does not track; map inbound or callback")


def _exported(row: Row) -> Row:
    """A row of the cabinet's table: it tells the direction where the journal has a flag."""
    direction = row.values.pop("direction", None)
    refused = row.refused
    if direction == "outbound" and refused is None:
        refused = _OUTBOUND
    row.values |= {"is_finished": True, "is_callback": direction == "callback"}
    return Row(row.number, row.values, refused)


def _exported_block(block: Block) -> Block:
    """The same for many rows."""
    columns, length = block.columns, len(block)
    direction = columns.pop("direction", constant(None, "text", length))
    columns["is_finished"] = constant(True, "boolean", length)
    columns["is_callback"] = pa.array(equals(direction, "callback"))
    refused = dict.fromkeys(np.flatnonzero(equals(direction, "outbound")).tolist(), _OUTBOUND)
    return Block(block.numbers, columns, refused, {at: _exported(row) for at, row in block.apart.items()})


_CALLS = _Journal(
    what="calls",
    key="callId",
    local="date",
    epoch="timestamp",
    per_second=1,
    known=frozenset(_CALL_FIELDS.split()),
    remedy="save the answer of …/calls-diary/calls, as JSON",
    row=call_row,
)
_REQUESTS = _Journal(
    what="requests",
    key="requestId",
    local="dateStr",
    epoch="date",
    per_second=1000,
    known=frozenset(_REQUEST_FIELDS.split()),
    remedy="save the answer of …/RestAPI/requests, as JSON",
    row=lambda number, request, _region: request_row(number, request),
)
_JOURNALS = {"calls": _CALLS, "contacts": _REQUESTS}

CONNECTOR = Calltouch()

if __name__ == "__main__":
    cli.main(CONNECTOR)
