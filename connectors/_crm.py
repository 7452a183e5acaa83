"""What the CRM kinds share: fields that say where a lead came from, names of stages, exports as tables.

A CRM knows no click ids and no client ids of its own: every clinic keeps them in custom fields, whose codes
or headings clinic.yaml maps (`fields:`). Names, comments and addresses of people are never asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BeforeValidator, ConfigDict, Field

from connectors._cells import Moments, cell_text, fold, header_key, id_text
from connectors._settings import DateFormat
from connectors.contract import Column, ReadLog, SourceOptions
from connectors.errors import FileRefused, RowRefused
from connectors.files import Cell, InboxFile
from connectors.web import CLICK_IDS, read_address, read_host

Meaning = Literal[
    "ga_client_id",
    "ym_client_id",
    "mt_client_id",
    "ct_client_id",
    "roistat",
    "user_ref",
    "session_ref",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
    "gclid",
    "gbraid",
    "wbraid",
    "yclid",
    "msclkid",
    "ttclid",
    "bd_vid",
    "fbclid",
    "page",
    "referrer",
    "branch",
    "patient_id",
    "appointment_id",
    "call_id",
    "callback_id",
]
# Ids of visitors and the prefix of the system that gave them (connectors.conformed).
_VISITORS: Mapping[str, str] = {
    "ga_client_id": "ga",
    "ym_client_id": "ym",
    "mt_client_id": "mt",
    "ct_client_id": "ct",
    "roistat": "rs",
}
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
# The cookie _ga holds the client id behind a version: GA1.2.123456789.1700000000.
_GA_COOKIE = re.compile(r"GA\d\.\d+\.(\d+\.\d+)")
_NOTHING = frozenset({"", "0", "-", "null", "none", "undefined", "(not set)", "false"})
# A table's headings stand at its top, at most a few lines down.
_LAST_HEADER_LINE = 10
_DEFAULT_FORMATS = ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M")


def _as_tuple(value: object) -> object:
    items = value if isinstance(value, (list, tuple)) else [value]
    return tuple(
        str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in items
    )


# One name or several: the same thing has another code on a lead, a deal and a contact.
Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class CrmOptions(SourceOptions):
    """Settings of every CRM kind.

    `fields` maps what we need to codes of the CRM's fields, or headings of its export; where several visitor
    ids are filled, the one written first is taken. `calls_source` is the source whose calls `call_id` names.
    `booked_stages` and `junk_stages` are stages, by id or by name, that say that a booking was made and that
    it was no enquiry. `pipelines` are those in which enquiries are kept, by id or name; all, when empty.
    `operator_names`: read who is responsible, by name. `datetime_format` is that of the export file.
    """

    # A secret that is mistyped must not be repeated by the message about it.
    model_config = ConfigDict(hide_input_in_errors=True)

    fields: dict[Meaning, Names] = Field(default_factory=dict)
    calls_source: str | None = None
    booked_stages: Names = ()
    junk_stages: Names = ()
    pipelines: Names = ()
    operator_names: bool = True
    datetime_format: DateFormat | None = None


LINK_COLUMNS = (
    Column("visitor_id", "text", "Client id of the visitor, prefixed with its system."),
    Column("user_ref", "text", "Site user id."),
    Column("session_ref", "text", "Session it was made from."),
    Column("branch", "text", "Branch."),
    Column("patient_id", "text", "Patient's number in the clinic's record system.", record_id=True),
    Column("appointment_ref", "text", "Appointment that it led to.", record_id=True),
    Column("contact_ref", "text", "Call or form that it stands for."),
    Column("callback_ref", "text", "Callback request that it stands for."),
    Column("utm_source", "text", "utm_source, lower case."),
    Column("utm_medium", "text", "utm_medium, lower case."),
    Column("utm_campaign", "text", "utm_campaign."),
    Column("utm_content", "text", "utm_content."),
    Column("utm_term", "text", "utm_term."),
    Column("campaign_id", "text", "Campaign id found in a tag."),
    Column("click_id_type", "text", "Which click id it carries."),
    Column("click_id", "text", "The click id, case kept."),
    Column("landing_path", "text", "Path of the page of the form."),
    Column("referrer_host", "text", "Host of the referrer."),
)
PERSON_COLUMNS = (
    Column("phone_key", "text", "Keyed hash of the first number.", personal="phone"),
    Column("phone_keys", "text[]", "Keyed hashes of all numbers.", personal="phone"),
    Column("email_key", "text", "Keyed hash of the first address.", personal="email"),
    Column("email_keys", "text[]", "Keyed hashes of all addresses.", personal="email"),
)

# The value of a record's field, by its code or heading; None where it has none.
Get = Callable[[str], object]


def value_text(value: object) -> str | None:
    """A field's value as text: the first of several; None for nothing, for flags and for nested records."""
    if isinstance(value, (list, tuple)):
        return next((text for item in value if (text := value_text(item)) is not None), None)
    if value is None or isinstance(value, (bool, dict)):
        return None
    return (str(value) if isinstance(value, Decimal) else cell_text(value)).strip() or None  # type: ignore[arg-type]


def record_id(value: object, column: str) -> str | None:
    """A record's number; None for 0, which is none. Raises RowRefused for one ruined by a spreadsheet."""
    if isinstance(value, (bool, list, dict)) or value is None:
        return None
    try:
        text = id_text(value).strip()  # type: ignore[arg-type]
    except ValueError as error:
        raise RowRefused(column, str(error)) from None
    return None if text in ("", "0") else text


def persons(phones: Sequence[object], emails: Sequence[object]) -> dict[str, Any]:
    """The columns of a person's numbers and addresses, raw: the checker hashes them."""
    # Exports put an apostrophe before a number so that a spreadsheet keeps it.
    numbers = [text.lstrip("'") for item in phones if (text := value_text(item)) is not None]
    addresses = [text for item in emails if (text := value_text(item)) is not None]
    return {
        "phone_key": numbers or None,
        "phone_keys": numbers or None,
        "email_key": addresses or None,
        "email_keys": addresses or None,
    }


def links(get: Get, source: CrmOptions, known: Mapping[Meaning, tuple[str, ...]]) -> dict[str, Any]:
    """The columns of where a record came from and what it belongs to. `known` are the kind's own fields."""
    fields: dict[Meaning, tuple[str, ...]] = {**source.fields}
    for meaning, names in known.items():
        fields.setdefault(meaning, names)

    def first(meaning: Meaning) -> str | None:
        for name in fields.get(meaning, ()):
            if (text := value_text(get(name))) is not None and text.lower() not in _NOTHING:
                return text
        return None

    call = first("call_id")
    if call is not None and source.calls_source is not None:
        call = f"{source.calls_source}:{call}"
    return {
        "visitor_id": next(
            (
                f"{_VISITORS[meaning]}:{_client_id(meaning, text)}"
                for meaning in fields
                if meaning in _VISITORS and (text := first(meaning)) is not None
            ),
            None,
        ),
        "user_ref": first("user_ref"),
        "session_ref": first("session_ref"),
        "branch": first("branch"),
        "patient_id": first("patient_id"),
        "appointment_ref": first("appointment_id"),
        "contact_ref": call,
        "callback_ref": first("callback_id"),
        **_origin(first),
    }


def _client_id(meaning: str, text: str) -> str:
    cookie = _GA_COOKIE.fullmatch(text) if meaning == "ga_client_id" else None
    return text if cookie is None else cookie[1]


def _origin(first: Callable[[Any], str | None]) -> dict[str, Any]:
    """Tags and click id: the record's own as a set, else those of the page that it names."""
    given = {name: text for name in (*_UTM, *CLICK_IDS) if (text := first(name)) is not None}
    own = read_address(f"/?{urlencode(given)}")
    page = read_address(first("page"))
    tagged = own if any(getattr(own, name) for name in _UTM) else page
    clicked = own if own.click_id is not None else page
    return {
        **{name: getattr(tagged, name) for name in _UTM},
        "campaign_id": tagged.campaign_id or clicked.campaign_id,
        "click_id_type": clicked.click_id_type,
        "click_id": clicked.click_id,
        "landing_path": page.path,
        "referrer_host": read_host(first("referrer")),
    }


class Stages:
    """Which stages say that a booking was made, which that it was no enquiry."""

    def __init__(self, source: CrmOptions) -> None:
        self._booked = frozenset(map(fold, source.booked_stages))
        self._junk = frozenset(map(fold, source.junk_stages))
        self._pipelines = frozenset(map(fold, source.pipelines))

    def is_booked(self, *names: str | None) -> bool:
        """Whether a stage by any of its ids and names is one of `booked_stages`."""
        return _holds(self._booked, names)

    def is_junk(self, *names: str | None) -> bool:
        """Whether a stage by any of its ids and names is one of `junk_stages`."""
        return _holds(self._junk, names)

    def has_enquiries(self, *names: str | None) -> bool:
        """Whether enquiries are kept in a pipeline."""
        return not self._pipelines or _holds(self._pipelines, names)


def _holds(wanted: frozenset[str], names: Sequence[str | None]) -> bool:
    return any(name is not None and fold(name) in wanted for name in names)


class Times:
    """Reads times: ISO 8601 as APIs write it, else the format of the export."""

    def __init__(self, source: CrmOptions) -> None:
        formats = _DEFAULT_FORMATS if source.datetime_format is None else (source.datetime_format,)
        self._zone = source.zone
        self._moments = Moments(formats, (), source.zone)

    def read(self, value: Cell, column: str) -> datetime | None:
        """An aware time; the end of the local day for a day alone. Raises RowRefused."""
        text = value.strip() if isinstance(value, str) else None
        try:
            if text is not None and re.match(r"\d{4}-\d\d-\d\d", text):
                moment = datetime.fromisoformat(text)
                return moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone)
            found = self._moments.read(value)
        except ValueError as error:
            raise RowRefused(column, f"{error}; set `datetime_format` of the source") from None
        return None if found is None else self._moments.moment(found)


def load_json(file: InboxFile) -> Any:
    """The file as JSON, fractions as Decimal. Raises FileRefused."""
    try:
        with file.open_binary() as stream:
            return json.loads(stream.read().decode("utf-8-sig"), parse_float=Decimal)
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise FileRefused(
            f"{file.name}: is not one whole JSON document; it is cut short or damaged, save it again"
        ) from None
    except (EOFError, OSError) as error:
        raise FileRefused(
            f"{file.name}: cannot be unpacked ({type(error).__name__}); copy it here again"
        ) from None


@dataclass(frozen=True)
class Headings:
    """The headings of a CRM's export: heading as `header_key` writes it -> field of the record.

    Fields in `several` may have many columns, and hold a list. `required` fields must have a column; `where`
    says how the user shows them. `ignored` headings are known and not read.
    """

    fields: Mapping[str, str]
    required: tuple[str, ...]
    where: str
    several: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    # Heading -> the stream whose list it is surely of.
    marks: Mapping[str, str] = field(default_factory=dict)

    def records(
        self, file: InboxFile, source: CrmOptions, log: ReadLog, stream: str
    ) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """(line, record) of an exported table: cells by field, and by heading for custom fields.

        A text in place of the record is why the line cannot be read. Raises FileRefused.
        """
        mapped = {header_key(name) for names in source.fields.values() for name in names}
        header: list[str] | None = None
        missing = list(self.required)
        for number, cells in file.table(fallback="cp1251"):
            if not any(cell_text(cell) for cell in cells):
                log.skip("blank line")
                continue
            if header is None:
                keys = [header_key(cell_text(cell)) for cell in cells]
                missing = min(missing, self._missing(keys), key=len)
                if missing and number > _LAST_HEADER_LINE:
                    break
                if missing:
                    log.skip("line before the headings")
                    continue
                header = keys
                self._refuse_others(file, keys, stream)
                self._note_unknown(cells, mapped, log)
                continue
            if len(cells) != len(header):
                yield number, "has another number of cells than the headings"
                continue
            yield number, self._record(header, cells)
        if header is None:
            names = [" or ".join(h for h, f in self.fields.items() if f == name) for name in missing]
            raise FileRefused(f"{file.name}: has no column {', nor '.join(names)}; {self.where}")

    def _refuse_others(self, file: InboxFile, keys: list[str], stream: str) -> None:
        """Raises FileRefused for the list of another stream, which would pass for this one."""
        marked = {self.marks[key] for key in keys if key in self.marks}
        if marked and stream not in marked:
            found = min(marked)
            raise FileRefused(f"{file.name}: holds {found}, not {stream}; move it to the folder {found}/")

    def _missing(self, keys: list[str]) -> list[str]:
        """The required fields that have no column under these headings."""
        found = {self.fields.get(key) for key in keys}
        return [name for name in self.required if name not in found]

    def _note_unknown(self, cells: list[Cell], mapped: set[str], log: ReadLog) -> None:
        for cell in cells:
            key = header_key(cell_text(cell))
            if key and key not in self.fields and key not in self.ignored and key not in mapped:
                log.unknown_columns.add(cell_text(cell)[:80])

    def _record(self, header: list[str], cells: list[Cell]) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for key, cell in zip(header, cells, strict=True):
            record.setdefault(key, cell)
            name = self.fields.get(key)
            if name is None:
                continue
            if name in self.several:
                record.setdefault(name, []).append(cell)
            elif not cell_text(record.get(name)):
                record[name] = cell
        return record


def getter(record: Mapping[str, Any]) -> Get:
    """Looks a field up by its code as it stands, else as a heading."""

    def get(name: str) -> object:
        value = record.get(name)
        return record.get(header_key(name)) if value is None else value

    return get
