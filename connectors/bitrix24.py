"""Bitrix24 CRM: leads, deals and contacts, through an incoming webhook or from the portal's own CSV export.

Field names are those of the old list methods (crm.lead.list, crm.deal.list, crm.contact.list:
github.com/bitrix-tools/b24-rest-docs); answers of crm.item.list, in camel case, are read as well. PHONE and
EMAIL are named one by one: `*` does not contain them. Names, comments and addresses are never asked for.

A lead that is converted makes a deal and a contact. The deal names its lead (LEAD_ID), so that the enquiry
counts once; a deal without a lead is an enquiry of its own. The UI's CSV export of deals names the lead by
its title only.

    python -m connectors.bitrix24 FILE --stream leads
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Literal

from pydantic import SecretStr, field_validator

from connectors import cli
from connectors._bitrix24_api import BATCH, PAGE, Portal
from connectors._bitrix24_headings import HEADINGS, JUNK_NAMES, SEMANTICS_OF_NAMES
from connectors._cells import fold
from connectors._crm import (
    LINK_COLUMNS,
    PERSON_COLUMNS,
    CrmOptions,
    Get,
    Meaning,
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

# A lead is worked on for weeks: what was created lately is read again, so that deletions are seen.
_RESTATED_DAYS = 35
_WINDOW_DAYS = 31

_STAGE_COLUMNS = (
    Column("is_valid", "boolean", "False for junk, true for success or a booking; NULL while it is open."),
    Column("is_booked", "boolean", "A booking came of it; NULL while it is open."),
    Column("source_id", "text", "SOURCE_ID; its name in an export."),
    Column("contact_id", "text", "CONTACT_ID."),
    Column("responsible_id", "text", "ASSIGNED_BY_ID."),
    Column("responsible", "text", "Who is responsible, by name; exports only."),
)
_TIME_COLUMNS = (
    Column("created_at", "timestamp", "DATE_CREATE.", required=True),
    Column("modified_at", "timestamp", "DATE_MODIFY."),
)

LEADS = Stream(
    name="leads",
    description="Leads of a Bitrix24 portal: enquiries, one row each.",
    columns=(
        Column("lead_id", "text", "ID.", required=True),
        *_TIME_COLUMNS,
        Column("status_id", "text", "STATUS_ID; the stage's name in an export."),
        Column("status_semantic", "text", "P in work, S success, F failure."),
        *_STAGE_COLUMNS,
        *PERSON_COLUMNS,
        *LINK_COLUMNS,
    ),
    primary_key=("lead_id",),
    event_day="created_at",
    version="modified_at",
    restatement_days=_RESTATED_DAYS,
)
DEALS = Stream(
    name="deals",
    description="Deals of a Bitrix24 portal: what leads became, and enquiries where there are no leads.",
    columns=(
        Column("deal_id", "text", "ID.", required=True),
        *_TIME_COLUMNS,
        Column("category_id", "text", "CATEGORY_ID, the pipeline; its name in an export."),
        Column("stage_id", "text", "STAGE_ID; the stage's name in an export."),
        Column("stage_semantic", "text", "P in work, S success, F failure."),
        Column("lead_id", "text", "LEAD_ID."),
        Column("is_from_lead", "boolean", "A lead is named, by its number or, in an export, by its title."),
        Column("is_enquiry", "boolean", "It is no template, and in a pipeline that keeps enquiries."),
        *_STAGE_COLUMNS,
        *PERSON_COLUMNS,
        *LINK_COLUMNS,
    ),
    primary_key=("deal_id",),
    event_day="created_at",
    version="modified_at",
    restatement_days=_RESTATED_DAYS,
)
CONTACTS = Stream(
    name="contacts",
    description="Contacts of a Bitrix24 portal that leads and deals name, without their names.",
    columns=(
        Column("contact_id", "text", "ID.", required=True),
        *_TIME_COLUMNS,
        *PERSON_COLUMNS,
        *LINK_COLUMNS,
    ),
    primary_key=("contact_id",),
    event_day="created_at",
    version="modified_at",
    restatement_days=_RESTATED_DAYS,
)
STATUSES = Stream(
    name="statuses",
    description="Names of stages and sources of a Bitrix24 portal (crm.status.list).",
    columns=(
        Column("entity_id", "text", "ENTITY_ID: STATUS, SOURCE, DEAL_STAGE, DEAL_STAGE_1 …", required=True),
        Column("status_id", "text", "STATUS_ID.", required=True),
        Column("name", "text", "NAME."),
        Column("semantic", "text", "S success, F failure; NULL in work and for lists other than stages."),
    ),
    primary_key=("entity_id", "status_id"),
)
USERS = Stream(
    name="users",
    description="Staff of a Bitrix24 portal (user.get).",
    columns=(
        Column("user_id", "text", "ID.", required=True),
        Column("name", "text", "First and last name."),
    ),
    primary_key=("user_id",),
)

_WEBHOOK = re.compile(r"(?:https://[^/\s]+|http://(?:127\.0\.0\.1|localhost)(?::\d+)?)/rest/\d+/[^/\s]+/?")
_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
# What the universal methods name otherwise than by camel case.
_UNIVERSAL = {"CREATED_TIME": "DATE_CREATE", "UPDATED_TIME": "DATE_MODIFY"}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_KNOWN: Mapping[Meaning, tuple[str, ...]] = {
    "utm_source": ("UTM_SOURCE",),
    "utm_medium": ("UTM_MEDIUM",),
    "utm_campaign": ("UTM_CAMPAIGN",),
    "utm_content": ("UTM_CONTENT",),
    "utm_term": ("UTM_TERM",),
}
_UTM_CODES = tuple(names[0] for names in _KNOWN.values())
_COMMON = ("ID", "DATE_CREATE", "DATE_MODIFY", "SOURCE_ID", "ASSIGNED_BY_ID", *_UTM_CODES)
_SELECT = {
    "leads": (*_COMMON, "STATUS_ID", "STATUS_SEMANTIC_ID", "CONTACT_ID", "PHONE", "EMAIL"),
    "deals": (
        *_COMMON,
        "CATEGORY_ID",
        "STAGE_ID",
        "STAGE_SEMANTIC_ID",
        "LEAD_ID",
        "CONTACT_ID",
        "IS_RECURRING",
    ),
    "contacts": (*_COMMON, "PHONE", "EMAIL"),
}
_METHODS = {"leads": "crm.lead.list", "deals": "crm.deal.list", "contacts": "crm.contact.list"}
# Without these a record might be of any kind.
_TELLING = {"leads": ("STATUS_ID", "STAGE_ID"), "deals": ("STAGE_ID",), "statuses": ("ENTITY_ID",)}
_JUNK = "JUNK"

_REMEDY = "save the answer of crm.lead.list, crm.deal.list or crm.contact.list, or the list's CSV export"


class Bitrix24Options(CrmOptions):
    """One portal. `webhook` is the address of its incoming webhook, which is the password as well."""

    kind: Literal["bitrix24"] = "bitrix24"
    webhook: SecretStr | None = None

    @field_validator("webhook")
    @classmethod
    def _is_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _WEBHOOK.fullmatch(value.get_secret_value()):
            raise ValueError("write the whole address: https://<portal>/rest/<user number>/<code>/")
        return value


@dataclass(frozen=True)
class _Reading:
    """How records of a portal are read: settings, times, and names of stages where they are known."""

    source: Bitrix24Options
    times: Times
    stages: Stages
    # STATUS_ID -> name, of stages.
    names: Mapping[str, str]

    @classmethod
    def of(cls, source: Bitrix24Options, names: Mapping[str, str] | None = None) -> _Reading:
        return cls(source, Times(source), Stages(source), names or {})

    def times_of(self, get: Get) -> dict[str, Any]:
        return {
            "created_at": self.times.read(get("DATE_CREATE"), "created_at"),  # type: ignore[arg-type]
            "modified_at": self.times.read(get("DATE_MODIFY"), "modified_at"),  # type: ignore[arg-type]
        }

    def stage(
        self, stage: str | None, semantic: str | None, is_deal: bool, linked: Mapping[str, Any]
    ) -> tuple[dict[str, Any], str | None]:
        """(is_valid and is_booked, semantic) of a stage by its id or name."""
        name = None if stage is None else self.names.get(stage)
        folded = fold(stage or "")
        semantic = semantic or SEMANTICS_OF_NAMES.get(folded)
        is_junk = self.stages.is_junk(stage, name) or (
            not is_deal and (stage == _JUNK or folded in JUNK_NAMES)
        )
        is_booked = (
            self.stages.is_booked(stage, name)
            or linked["appointment_ref"] is not None
            # A lead's success is its conversion, which is no booking yet.
            or (is_deal and semantic == "S")
        )
        is_won = is_booked or semantic == "S"
        return {
            "is_valid": False if is_junk else True if is_won else None,
            "is_booked": True if is_booked else False if is_junk or semantic == "F" else None,
        }, semantic


def _lead(record: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    get = getter(record)
    linked = links(get, reading.source, _KNOWN)
    status = value_text(get("STATUS_ID")) or value_text(get("STAGE_ID"))
    flags, semantic = reading.stage(status, _semantic(get("STATUS_SEMANTIC_ID")), False, linked)
    return {
        "lead_id": record_id(get("ID"), "lead_id"),
        **reading.times_of(get),
        "status_id": status,
        "status_semantic": semantic,
        **flags,
        **_common(get),
        **persons(_values(get("PHONE")), _values(get("EMAIL"))),
        **linked,
    }


def _deal(record: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    get = getter(record)
    linked = links(get, reading.source, _KNOWN)
    stage = value_text(get("STAGE_ID")) or value_text(get("STATUS_ID"))
    flags, semantic = reading.stage(stage, _semantic(get("STAGE_SEMANTIC_ID")), True, linked)
    category = value_text(get("CATEGORY_ID"))
    lead_id = record_id(get("LEAD_ID"), "lead_id")
    is_from_lead = lead_id is not None or value_text(get("LEAD_TITLE")) is not None
    return {
        "deal_id": record_id(get("ID"), "deal_id"),
        **reading.times_of(get),
        "category_id": category,
        "stage_id": stage,
        "stage_semantic": semantic,
        "lead_id": lead_id,
        "is_from_lead": is_from_lead,
        "is_enquiry": get("IS_RECURRING") != "Y" and (is_from_lead or reading.stages.has_enquiries(category)),
        **flags,
        **_common(get),
        **persons(_values(get("PHONE")), _values(get("EMAIL"))),
        **linked,
    }


def _contact(record: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    get = getter(record)
    return {
        "contact_id": record_id(get("ID"), "contact_id"),
        **reading.times_of(get),
        **persons(_values(get("PHONE")), _values(get("EMAIL"))),
        **links(get, reading.source, _KNOWN),
    }


def _status(record: Mapping[str, Any], _reading: _Reading) -> dict[str, Any]:
    return {
        "entity_id": value_text(record.get("ENTITY_ID")),
        "status_id": value_text(record.get("STATUS_ID")),
        "name": value_text(record.get("NAME")),
        "semantic": _semantic(record.get("SEMANTICS")),
    }


def _user(record: Mapping[str, Any], _reading: _Reading) -> dict[str, Any]:
    names = (value_text(record.get("NAME")), value_text(record.get("LAST_NAME")))
    return {
        "user_id": record_id(record.get("ID"), "user_id"),
        "name": " ".join(name for name in names if name is not None) or None,
    }


_ROWS: Mapping[str, Callable[[Mapping[str, Any], _Reading], dict[str, Any]]] = {
    "leads": _lead,
    "deals": _deal,
    "contacts": _contact,
    "statuses": _status,
    "users": _user,
}


def _common(get: Get) -> dict[str, Any]:
    return {
        "source_id": clean_tag(value_text(get("SOURCE_ID"))),
        "contact_id": record_id(get("CONTACT_ID"), "contact_id"),
        "responsible_id": record_id(get("ASSIGNED_BY_ID"), "responsible_id"),
        "responsible": value_text(get("RESPONSIBLE")),
    }


def _semantic(value: object) -> str | None:
    text = value_text(value)
    return text if text in ("P", "S", "F") else None


def _values(field: object) -> list[object]:
    """The values of a multiple field: objects with VALUE in answers, cells in an export."""
    items = field if isinstance(field, list) else [field]
    return [item.get("VALUE") if isinstance(item, dict) else item for item in items]


def _row(number: int, record: Mapping[str, Any], stream: Stream, reading: _Reading) -> Row:
    try:
        return Row(number, _ROWS[stream.name](record, reading))
    except RowRefused as error:
        return Row(number, {}, (error.column, error.reason))


class Bitrix24(Connector[Bitrix24Options]):
    """Leads, deals and contacts of a Bitrix24 portal."""

    kind: ClassVar[str] = "bitrix24"
    title: ClassVar[str] = "Bitrix24"
    options: ClassVar[type[SourceOptions]] = Bitrix24Options
    feeds: ClassVar[tuple[str, ...]] = ("contacts", "patients")

    def streams(self, source: Bitrix24Options) -> tuple[Stream, ...]:
        """Leads, deals, contacts, and the names of stages and staff."""
        return LEADS, DEALS, CONTACTS, STATUSES, USERS

    def feeds_of(self, source: Bitrix24Options) -> tuple[str, ...]:
        """Patients only where a field holds the patient's number: its phones are the patient's too."""
        return self.feeds if "patient_id" in source.fields else ("contacts",)

    def read(self, file: InboxFile, stream: Stream, source: Bitrix24Options, log: ReadLog) -> Iterator[Row]:
        """Yield the records of a saved answer or of the portal's CSV export.

        Raises FileRefused for an error answer, for another kind of record, and for a table without number or
        creation date.
        """
        reading = _Reading.of(source)
        first = file.first_character()
        if first in ("{", "["):
            for number, record in enumerate(_saved(file, stream, log), start=1):
                yield _row(number, record, stream, reading)
            return
        if first == "<":
            raise FileRefused(
                f"{file.name}: is a web page, as Bitrix24's export to Excel is; export the list as CSV"
            )
        if stream.name not in _METHODS:
            raise FileRefused(f"{file.name}: {stream.name} are read from saved answers of the API only")
        headings = HEADINGS[stream.name]
        for number, record_or_reason in headings.records(file, source, log, stream.name):
            if isinstance(record_or_reason, str):
                yield Row(number, {}, ("", record_or_reason))
            else:
                yield _row(number, record_or_reason, stream, reading)

    def route(self, source: Bitrix24Options, stream: Stream) -> Route | None:
        """Leads and deals by day of creation, the rest beside them."""
        if source.webhook is None or (stream is USERS and not source.operator_names):
            return None
        if stream in (STATUSES, USERS):
            return Route(by="whole")
        return Route(by="change" if stream is CONTACTS else "day", window_days=_WINDOW_DAYS)

    def fetch(self, source: Bitrix24Options, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield what was created or modified in the window; for contacts, those that leads and deals name.

        Raises ApiError, IncompleteError when the portal gave fewer records than it had counted.
        """
        portal = _portal(source)
        match stream.name:
            case "statuses":
                records: Iterator[dict[str, Any]] = iter(portal.call("crm.status.list")["result"])
            case "users":
                records = _users(portal)
            case "contacts":
                records = _named_contacts(portal, source, window)
            case _:
                records = _changed(portal, stream.name, _select(source, stream.name), window)
        names = _stage_names(portal) if stream in (LEADS, DEALS) and _needs_names(source) else None
        reading = _Reading.of(source, names)
        for number, record in enumerate(records, start=1):
            yield _row(number, record, stream, reading)

    def probe(self, source: Bitrix24Options) -> str:
        """Count the deals and leads."""
        portal = _portal(source)
        first = {"order": {"ID": "ASC"}, "filter": {}, "start": 0}
        counts = [
            int(portal.call(_METHODS[name], {**first, "select": ["ID"]}).get("total") or 0)
            for name in ("leads", "deals")
        ]
        return f"answers; {counts[0]} leads, {counts[1]} deals"


def _portal(source: Bitrix24Options) -> Portal:
    assert source.webhook is not None, "route() gives no route without it"
    return Portal(source.name, source.webhook)


def _select(source: Bitrix24Options, name: str) -> tuple[str, ...]:
    """The fields to ask for: those that are read, and the clinic's own codes."""
    own = (code for names in source.fields.values() for code in names if _CODE.fullmatch(code))
    return tuple(dict.fromkeys((*_SELECT[name], *own)))


def _changed(portal: Portal, name: str, select: tuple[str, ...], window: Window) -> Iterator[dict[str, Any]]:
    """Every record created in the window, then those modified in it, each once."""
    seen: set[str] = set()
    for field in ("DATE_CREATE", "DATE_MODIFY"):
        where = {f">={field}": window.starts_at.isoformat(), f"<{field}": window.ends_at.isoformat()}
        for record in portal.records(_METHODS[name], select, where):
            if record["ID"] not in seen:
                seen.add(record["ID"])
                yield record


def _named_contacts(portal: Portal, source: Bitrix24Options, window: Window) -> Iterator[dict[str, Any]]:
    """The contacts that leads and deals of the window name; the portal may have thousands of others."""
    ids: dict[str, None] = {}
    for name in ("leads", "deals"):
        for record in _changed(portal, name, ("ID", "CONTACT_ID"), window):
            if (id_ := record_id(record.get("CONTACT_ID"), "contact_id")) is not None:
                ids.setdefault(id_)
    wanted = list(ids)
    select = list(_select(source, "contacts"))
    pages = [wanted[at : at + PAGE] for at in range(0, len(wanted), PAGE)]
    for at in range(0, len(pages), BATCH):
        calls = {
            f"c{number}": (
                _METHODS["contacts"],
                {"order": {"ID": "ASC"}, "filter": {"@ID": page}, "select": select, "start": -1},
            )
            for number, page in enumerate(pages[at : at + BATCH])
        }
        for result in portal.batch(calls).values():
            yield from result


def _users(portal: Portal) -> Iterator[dict[str, Any]]:
    start: int | None = 0
    while start is not None:
        answer = portal.call("user.get", {"sort": "ID", "order": "ASC", "start": start})
        yield from answer["result"]
        following = answer.get("next")
        start = following if isinstance(following, int) and following > start else None


def _needs_names(source: Bitrix24Options) -> bool:
    return bool(source.booked_stages or source.junk_stages)


def _stage_names(portal: Portal) -> dict[str, str]:
    """STATUS_ID -> name of every stage of leads and deals."""
    return {
        str(record["STATUS_ID"]): str(record["NAME"])
        for record in portal.call("crm.status.list")["result"]
        if record.get("ENTITY_ID") == "STATUS" or str(record.get("ENTITY_ID")).startswith("DEAL_STAGE")
    }


def _saved(file: InboxFile, stream: Stream, log: ReadLog) -> list[dict[str, Any]]:
    """The records of a saved answer. Raises FileRefused."""
    body = load_json(file)
    if isinstance(body, dict) and "error" in body and "result" not in body:
        raise FileRefused(f"{file.name}: is an error answer; {_REMEDY}")
    result = body.get("result") if isinstance(body, dict) else body
    if isinstance(result, dict):
        # crm.item.list puts its records under items; the .get methods give one record.
        result = result.get("items", [result])
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        raise FileRefused(f"{file.name}: is no answer of a Bitrix24 list; {_REMEDY}")
    if not result:
        raise FileRefused(f"{file.name}: holds no record; {_REMEDY}")
    records = [_upper(item) for item in result]
    found = _type_of(records[0])
    if found is None and stream is CONTACTS and "STAGE_ID" in records[0]:
        found = "deals"
    if found not in (None, stream.name):
        raise FileRefused(f"{file.name}: holds {found}, not {stream.name}; move it to the folder {found}/")
    needed = _TELLING.get(stream.name, ())
    if needed and not any(name in records[0] for name in needed):
        raise FileRefused(f"{file.name}: has no {needed[0]}, so that it may hold anything; select it")
    total = body.get("total") if isinstance(body, dict) else None
    if isinstance(total, int):
        log.control_totals["answer", "rows"] = Decimal(total)
        if total > len(records):
            log.notes.append(f"a page: {len(records)} of {total} records")
    return records


def _upper(record: dict[str, Any]) -> dict[str, Any]:
    """A record of the universal methods, in camel case, under the old methods' names."""
    if "id" not in record:
        return record
    upper = {_CAMEL.sub("_", key).upper(): value for key, value in record.items()}
    upper = {_UNIVERSAL.get(key, key): value for key, value in upper.items()}
    for item in record.get("fm") or []:
        if isinstance(item, dict) and item.get("typeId") in ("PHONE", "EMAIL"):
            upper.setdefault(item["typeId"], []).append({"VALUE": item.get("value")})
    return upper


def _type_of(record: Mapping[str, Any]) -> str | None:
    """Which stream a record is surely of; None where it does not tell."""
    if "ENTITY_ID" in record:
        return "statuses"
    if "STATUS_ID" in record:
        return "leads"
    return "deals" if "CATEGORY_ID" in record or "STAGE_SEMANTIC_ID" in record else None


CONNECTOR = Bitrix24()

if __name__ == "__main__":
    cli.main(CONNECTOR)
