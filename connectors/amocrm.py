"""amoCRM (Kommo abroad): leads, contacts and unsorted enquiries, through its API or from its own export.

Formats: www.amocrm.ru/developers and developers.kommo.com (API v4), a logged reply, the CSV or XLSX export
of the list of leads. Times are Unix seconds. The phone is on the contact, of which a lead knows only the id.
`custom_fields_values` is null where nothing is filled. Statuses 142 (won) and 143 (lost) exist in every
pipeline. What nobody has accepted yet is in no list of leads but among the unsorted.

Names of leads and people, notes and messages are dropped; a bearer token that lasts for years is made in the
account's settings. OAuth tokens of amoCRM are of one use each and are not supported.

    python -m connectors.amocrm FILE --stream leads
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import SecretStr, field_validator, model_validator

from connectors import cli
from connectors._amocrm_api import Account
from connectors._amocrm_fields import HEADINGS, KNOWN, LOST, NAMED_STATUSES, WON
from connectors._cells import fold
from connectors._crm import (
    LINK_COLUMNS,
    PERSON_COLUMNS,
    CrmOptions,
    Get,
    Stages,
    Times,
    getter,
    links,
    load_json,
    persons,
    record_id,
    value_text,
)
from connectors.contract import Column, Connector, ReadLog, Route, Row, SourceOptions, Stream, Window
from connectors.errors import FileRefused, RowRefused
from connectors.files import InboxFile
from connectors.web import clean_tag

_RESTATED_DAYS = 35
_WINDOW_DAYS = 31

LEADS = Stream(
    name="leads",
    description="Leads of an amoCRM account: enquiries that somebody accepted, one row each.",
    columns=(
        Column("lead_id", "text", "id.", required=True),
        Column("created_at", "timestamp", "created_at; NULL on a deletion."),
        Column("modified_at", "timestamp", "updated_at."),
        Column("is_deleted", "boolean", "It was deleted; it has only an id."),
        Column("pipeline_id", "text", "pipeline_id; its name in an export."),
        Column("status_id", "text", "status_id; its name in an export. Unique within its pipeline only."),
        Column("is_enquiry", "boolean", "It is in a pipeline that keeps enquiries."),
        Column("is_valid", "boolean", "False for junk, true for a won lead or a booking; NULL else."),
        Column("is_booked", "boolean", "A booking came of it; false once lost; NULL while it is open."),
        Column("loss_reason_id", "text", "loss_reason_id."),
        Column("source_label", "text", "Name of the lead's source, where the account has sources."),
        Column("contact_id", "text", "id of the main contact."),
        Column("responsible_id", "text", "responsible_user_id."),
        Column("responsible", "text", "Who is responsible, by name; exports only."),
        *PERSON_COLUMNS,
        *LINK_COLUMNS,
    ),
    primary_key=("lead_id",),
    event_day="created_at",
    version="modified_at",
    restatement_days=_RESTATED_DAYS,
)
CONTACTS = Stream(
    name="contacts",
    description="Contacts of an amoCRM account that leads name, without their names.",
    columns=(
        Column("contact_id", "text", "id.", required=True),
        Column("created_at", "timestamp", "created_at.", required=True),
        Column("modified_at", "timestamp", "updated_at."),
        *PERSON_COLUMNS,
        *LINK_COLUMNS,
    ),
    primary_key=("contact_id",),
    event_day="created_at",
    version="modified_at",
    restatement_days=_RESTATED_DAYS,
)
UNSORTED = Stream(
    name="unsorted",
    description="Enquiries of an amoCRM account that nobody has accepted or declined yet.",
    columns=(
        Column("uid", "text", "uid.", required=True),
        Column("category", "text", "sip, mail, forms or chats."),
        Column("created_at", "timestamp", "created_at.", required=True),
        Column("pipeline_id", "text", "pipeline_id."),
        Column("is_enquiry", "boolean", "It is in a pipeline that keeps enquiries."),
        Column("lead_id", "text", "id of the lead that it becomes once accepted."),
        Column("contact_id", "text", "id of its contact, which cannot be read before that."),
        Column("phone_key", "text", "Keyed hash of the caller's number; calls only.", personal="phone"),
        Column("call_ref", "text", "The telephony's own id of the call."),
        *(column for column in LINK_COLUMNS if column.name in ("landing_path", "referrer_host")),
        *(column for column in LINK_COLUMNS if column.name.startswith(("utm_", "campaign_", "click_"))),
    ),
    primary_key=("uid",),
    event_day="created_at",
)
PIPELINES = Stream(
    name="pipelines",
    description="Pipelines and their stages of an amoCRM account, one row per stage.",
    columns=(
        Column("pipeline_id", "text", "id of the pipeline.", required=True),
        Column("status_id", "text", "id of the stage.", required=True),
        Column("pipeline", "text", "Name of the pipeline."),
        Column("status", "text", "Name of the stage."),
    ),
    primary_key=("pipeline_id", "status_id"),
)
USERS = Stream(
    name="users",
    description="Staff of an amoCRM account.",
    columns=(
        Column("user_id", "text", "id.", required=True),
        Column("name", "text", "name."),
    ),
    primary_key=("user_id",),
)

_PATHS = {"leads": "/api/v4/leads", "contacts": "/api/v4/contacts"}
_BASE = re.compile(r"https://[^/\s]+/?|http://(?:127\.0\.0\.1|localhost)(?::\d+)?/?")
_REMEDY = "save an answer of /api/v4/leads, /api/v4/contacts or /api/v4/leads/unsorted, or the list's export"


class AmocrmOptions(CrmOptions):
    """One account. `base_url` is its address, `token` a long-lived token of a private integration.

    A stage is written as its name, its id, or `pipeline/stage` where several pipelines have the name.
    """

    kind: Literal["amocrm"] = "amocrm"
    base_url: str | None = None
    token: SecretStr | None = None

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not _BASE.fullmatch(value):
            raise ValueError("write the account's address, e.g. https://clinic.amocrm.ru")
        return value

    @model_validator(mode="after")
    def _whole(self) -> AmocrmOptions:
        if (self.base_url is None) != (self.token is None):
            raise ValueError("base_url and token belong together")
        return self


@dataclass(frozen=True)
class _Reading:
    """How records of an account are read. `names`: (pipeline id, status id or "") -> name, where known."""

    source: AmocrmOptions
    times: Times
    stages: Stages
    names: Mapping[tuple[str, str], str]

    @classmethod
    def of(cls, source: AmocrmOptions, names: Mapping[tuple[str, str], str] | None = None) -> _Reading:
        return cls(source, Times(source), Stages(source), names or {})

    def moment(self, value: Any, column: str) -> datetime | None:
        """Unix seconds of the API; text of an export."""
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC) if value > 0 else None
        return self.times.read(value, column)

    def stage(self, pipeline: str | None, status: str | None, linked: Mapping[str, Any]) -> dict[str, Any]:
        """The flags that follow from pipeline and stage, by ids or by names."""
        stage = self.names.get((pipeline or "", status)) if status else None
        stages = [name for name in (status, stage) if name is not None]
        pipelines = [name for name in (pipeline, self.names.get((pipeline or "", ""))) if name is not None]
        names = [*stages, *(f"{one}/{other}" for one in pipelines for other in stages)]
        outcome = NAMED_STATUSES.get(fold(status or ""), status)
        is_junk = self.stages.is_junk(*names)
        is_booked = (
            self.stages.is_booked(*names) or outcome == WON or linked.get("appointment_ref") is not None
        )
        return {
            "is_enquiry": self.stages.has_enquiries(*pipelines),
            "is_valid": False if is_junk else True if is_booked else None,
            "is_booked": True if is_booked else False if is_junk or outcome == LOST else None,
        }


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """Custom fields by code, by id and by name. None of them may be filled, which is null."""
    found: dict[str, Any] = {}
    for field in record.get("custom_fields_values") or []:
        values = [item.get("value") for item in field.get("values") or [] if isinstance(item, dict)]
        for key in (field.get("field_code"), field.get("field_id"), field.get("field_name")):
            if key is not None and values:
                found.setdefault(str(key).upper(), []).extend(values)
    return found


def _getter(record: Mapping[str, Any]) -> Get:
    """A custom field of an API record, by code, id or name; or a cell of an export."""
    custom = _fields(record)
    plain = getter(record)
    return lambda name: plain(name) if (value := custom.get(name.upper())) is None else value


def _lead(record: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    get = _getter(record)
    lead_id = record_id(record.get("id") or record.get("ID"), "lead_id")
    modified_at = reading.moment(record.get("updated_at") or record.get("UPDATED_AT"), "modified_at")
    if record.get("is_deleted"):
        return {"lead_id": lead_id, "is_deleted": True, "modified_at": modified_at}
    linked = links(get, reading.source, KNOWN)
    pipeline = value_text(record.get("pipeline_id") or record.get("PIPELINE"))
    status = value_text(record.get("status_id") or record.get("STATUS"))
    created_at = reading.moment(record.get("created_at") or record.get("CREATED_AT"), "created_at")
    if created_at is None:
        raise RowRefused("created_at", "is empty but required")
    embedded = record.get("_embedded") or {}
    source = embedded.get("source")
    return {
        "lead_id": lead_id,
        "created_at": created_at,
        "modified_at": modified_at,
        "pipeline_id": pipeline,
        "status_id": status,
        **reading.stage(pipeline, status, linked),
        "loss_reason_id": value_text(record.get("loss_reason_id")),
        # Sources of calls are named by numbers.
        "source_label": clean_tag(
            value_text(source.get("name") if isinstance(source, dict) else record.get("SOURCE"))
        ),
        "contact_id": record_id(_main_contact(record), "contact_id"),
        "responsible_id": record_id(record.get("responsible_user_id"), "responsible_id"),
        "responsible": value_text(record.get("RESPONSIBLE")),
        **persons(_many(get("PHONE")), _many(get("EMAIL"))),
        **linked,
    }


def _main_contact(record: Mapping[str, Any]) -> int | None:
    """The id of a lead's main contact, else of its first."""
    people = (record.get("_embedded") or {}).get("contacts") or []
    main = next((person for person in people if person.get("is_main")), people[0] if people else {})
    id_: int | None = main.get("id")
    return id_


def _contact(record: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    get = _getter(record)
    return {
        "contact_id": record_id(record.get("id"), "contact_id"),
        "created_at": reading.moment(record.get("created_at"), "created_at"),
        "modified_at": reading.moment(record.get("updated_at"), "modified_at"),
        **persons(_many(get("PHONE")), _many(get("EMAIL"))),
        **links(get, reading.source, KNOWN),
    }


def _unsorted(record: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    embedded = record.get("_embedded") or {}
    leads = embedded.get("leads") or ([embedded["lead"]] if embedded.get("lead") else [])
    people = embedded.get("contacts") or []
    metadata = record.get("metadata") or {}
    pipeline = value_text(record.get("pipeline_id"))
    page = {"PAGE": metadata.get("form_page"), "REFERRER": metadata.get("referer")}
    linked = links(page.get, reading.source, {"page": ("PAGE",), "referrer": ("REFERRER",)})
    return {
        "uid": value_text(record.get("uid")),
        "category": value_text(record.get("category")),
        "created_at": reading.moment(record.get("created_at"), "created_at"),
        "pipeline_id": pipeline,
        "is_enquiry": reading.stage(pipeline, None, {})["is_enquiry"],
        "lead_id": record_id(leads[0].get("id"), "lead_id") if leads else None,
        "contact_id": record_id(people[0].get("id"), "contact_id") if people else None,
        # `from` is the caller, `phone` the number that was dialled.
        "phone_key": value_text(metadata.get("from")) if record.get("category") == "sip" else None,
        "call_ref": _call_ref(value_text(metadata.get("uniq")), reading.source),
        **linked,
    }


def _call_ref(call: str | None, source: AmocrmOptions) -> str | None:
    if call is None or source.calls_source is None:
        return call
    return f"{source.calls_source}:{call}"


def _stage(record: Mapping[str, Any], _reading: _Reading) -> dict[str, Any]:
    return dict(record)


def _user(record: Mapping[str, Any], _reading: _Reading) -> dict[str, Any]:
    return {"user_id": record_id(record.get("id"), "user_id"), "name": value_text(record.get("name"))}


_ROWS: Mapping[str, Callable[[Mapping[str, Any], _Reading], dict[str, Any]]] = {
    "leads": _lead,
    "contacts": _contact,
    "unsorted": _unsorted,
    "pipelines": _stage,
    "users": _user,
}


def _many(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _row(number: int, record: Mapping[str, Any], stream: Stream, reading: _Reading) -> Row:
    try:
        return Row(number, _ROWS[stream.name](record, reading))
    except RowRefused as error:
        return Row(number, {}, (error.column, error.reason))


class Amocrm(Connector[AmocrmOptions]):
    """Leads, contacts and unsorted enquiries of an amoCRM account."""

    kind: ClassVar[str] = "amocrm"
    title: ClassVar[str] = "amoCRM / Kommo"
    options: ClassVar[type[SourceOptions]] = AmocrmOptions
    feeds: ClassVar[tuple[str, ...]] = ("contacts", "patients")

    def streams(self, source: AmocrmOptions) -> tuple[Stream, ...]:
        """Leads, contacts, unsorted enquiries, and the names of stages and staff."""
        return LEADS, CONTACTS, UNSORTED, PIPELINES, USERS

    def feeds_of(self, source: AmocrmOptions) -> tuple[str, ...]:
        """Patients only where a field holds the patient's number: its phones are the patient's too."""
        return self.feeds if "patient_id" in source.fields else ("contacts",)

    def read(self, file: InboxFile, stream: Stream, source: AmocrmOptions, log: ReadLog) -> Iterator[Row]:
        """Yield the records of a saved answer or of the account's own export of leads.

        Raises FileRefused for an error answer, another kind of record, a table without id, stage or day.
        """
        reading = _Reading.of(source)
        first = file.first_character()
        if first in ("{", "["):
            for number, record in enumerate(_saved(file, stream, log), start=1):
                yield _row(number, record, stream, reading)
            return
        if first == "<":
            raise FileRefused(f"{file.name}: is a web page, no data; {_REMEDY}")
        if stream is not LEADS:
            raise FileRefused(f"{file.name}: {stream.name} are read from saved answers of the API only")
        for number, record_or_reason in HEADINGS.records(file, source, log, stream.name):
            if isinstance(record_or_reason, str):
                yield Row(number, {}, ("", record_or_reason))
            else:
                yield _row(number, record_or_reason, stream, reading)

    def route(self, source: AmocrmOptions, stream: Stream) -> Route | None:
        """Leads by day of creation; what waits unsorted, and names, whole."""
        if source.token is None or (stream is USERS and not source.operator_names):
            return None
        if stream is LEADS:
            return Route(by="day", window_days=_WINDOW_DAYS)
        return Route(by="change", window_days=_WINDOW_DAYS) if stream is CONTACTS else Route(by="whole")

    def fetch(self, source: AmocrmOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield what was created or modified in the window; for contacts, those that its leads name.

        Raises ApiError.
        """
        account = _account(source)
        names = None
        match stream.name:
            case "leads":
                names = _stage_names(account) if _needs_names(source) else None
                records = _changed(account, window, log)
            case "contacts":
                records = _named_contacts(account, window, log)
            case "unsorted":
                names = _stage_names(account) if source.pipelines else None
                records = account.records("/api/v4/leads/unsorted", "unsorted", {"order[created_at]": "asc"})
            case "pipelines":
                records = _stages(account)
            case _:
                remedy = "make it in the name of an administrator, or set `operator_names: false`"
                records = account.records("/api/v4/users", "users", refused=remedy)
        reading = _Reading.of(source, names)
        for number, record in enumerate(records, start=1):
            yield _row(number, record, stream, reading)

    def probe(self, source: AmocrmOptions) -> str:
        """Ask for the account."""
        answer = _account(source).api.get("/api/v4/account").json()
        return f"answers as account {answer.get('id')}"


def _account(source: AmocrmOptions) -> Account:
    assert source.token is not None, "route() gives no route without it"
    assert source.base_url is not None, "a token comes with it"
    return Account(source.name, source.base_url, source.token)


def _needs_names(source: AmocrmOptions) -> bool:
    return bool(source.booked_stages or source.junk_stages or source.pipelines)


def _between(field: str, window: Window) -> dict[str, Any]:
    """A filter on the seconds of a window, both ends included."""
    return {
        f"filter[{field}][from]": int(window.starts_at.timestamp()),
        f"filter[{field}][to]": int(window.ends_at.timestamp()) - 1,
    }


def _changed(account: Account, window: Window, log: ReadLog) -> Iterator[dict[str, Any]]:
    """Leads created in the window, then those modified or deleted in it, each once.

    Filters are not open to every account: where they are not obeyed, what lies outside is passed over.
    """
    since, until = window.starts_at.timestamp(), window.ends_at.timestamp()
    seen: set[Any] = set()
    for field, more in (
        ("created_at", {"with": "contacts,source"}),
        ("updated_at", {"with": "contacts,source"}),
        ("updated_at", {"with": "only_deleted"}),
    ):
        params = {**_between(field, window), **more, "order[id]": "asc"}
        for record in account.records(_PATHS["leads"], "leads", params):
            if not since <= (record.get(field) or 0) < until:
                log.skip("lead outside the days asked for: the account does not obey filters")
            elif record["id"] not in seen:
                seen.add(record["id"])
                yield {**record, "is_deleted": True} if more["with"] == "only_deleted" else record


def _named_contacts(account: Account, window: Window, log: ReadLog) -> Iterator[dict[str, Any]]:
    """The contacts that leads of the window name; the account may have thousands of others."""
    ids: dict[int, None] = {}
    for record in _changed(account, window, log):
        if (contact := _main_contact(record)) is not None:
            ids.setdefault(contact)
    yield from account.by_id(_PATHS["contacts"], "contacts", list(ids))


def _stages(account: Account) -> Iterator[dict[str, Any]]:
    for pipeline in account.records("/api/v4/leads/pipelines", "pipelines"):
        yield from _stages_of(pipeline)


def _stages_of(pipeline: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for status in (pipeline.get("_embedded") or {}).get("statuses") or []:
        yield {
            "pipeline_id": str(pipeline["id"]),
            "pipeline": value_text(pipeline.get("name")),
            "status_id": str(status["id"]),
            "status": value_text(status.get("name")),
        }


def _stage_names(account: Account) -> dict[tuple[str, str], str]:
    names: dict[tuple[str, str], str] = {}
    for stage in _stages(account):
        names[stage["pipeline_id"], ""] = stage["pipeline"] or ""
        names[stage["pipeline_id"], stage["status_id"]] = stage["status"] or ""
    return names


def _saved(file: InboxFile, stream: Stream, log: ReadLog) -> list[dict[str, Any]]:
    """The records of a saved answer: a list of them, or one. Raises FileRefused."""
    body = load_json(file)
    if isinstance(body, dict) and "title" in body and "status" in body and "id" not in body:
        raise FileRefused(f"{file.name}: is an error answer; {_REMEDY}")
    embedded = body.get("_embedded") if isinstance(body, dict) else None
    listed = isinstance(embedded, dict) and "id" not in body and "uid" not in body
    if listed and isinstance(embedded, dict):
        found = next((name for name in ("unsorted", "pipelines", "users", *_PATHS) if name in embedded), None)
        if found != stream.name:
            told = (
                f"holds {found}, not {stream.name}; move it to the folder {found}/"
                if found
                else "holds nothing"
            )
            raise FileRefused(f"{file.name}: {told}")
        records: Any = embedded[stream.name]
        if isinstance(body.get("_links"), dict) and body["_links"].get("next"):
            log.notes.append("a page: the answer has a next one")
    else:
        records = body if isinstance(body, list) else [body]
    if not isinstance(records, list) or not records or not all(isinstance(r, dict) for r in records):
        raise FileRefused(f"{file.name}: is no answer of amoCRM with {stream.name}; {_REMEDY}")
    telling = {"leads": "status_id", "contacts": "custom_fields_values", "unsorted": "uid", "users": "rights"}
    if (needed := telling.get(stream.name)) and needed not in records[0]:
        raise FileRefused(f"{file.name}: holds no {stream.name} (they have {needed}); {_REMEDY}")
    if stream is CONTACTS and "status_id" in records[0]:
        raise FileRefused(f"{file.name}: holds leads, not contacts; move it to the folder leads/")
    if stream is PIPELINES:
        return [stage for pipeline in records for stage in _stages_of(pipeline)]
    return records


CONNECTOR = Amocrm()

if __name__ == "__main__":
    cli.main(CONNECTOR)
