"""1C:Enterprise's standard OData interface: posted documents and catalogues, and what becomes of them.

Format: 1cfresh.com/articles/data_odata and 42clouds.com (OData 3.0, JSON), and a real answer for
`Document_РеализацияТоваровУслуг`. Times are local and have no zone; an empty reference is the guid of zeros,
an empty date the year 1; amounts are numbers, some integers are text; tabular sections are arrays.

`$inlinecount` is never sent: with it the server ignores `$top` and `$skip`, so that every page is the first.
Rows are counted by `/$count`, and pages are ordered, for without an order they may overlap.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from connectors._api import Answer, Api
from connectors.conformed import PAYER_TYPES
from connectors.contract import ReadLog, Row, Window, local_to_utc
from connectors.errors import ApiError, IncompleteError, PermanentError, RowRefused

_PAGE_ROWS = 500
# The clinic's own server, which serves its desks at the same time.
_PER_SECOND = 5
_EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ENTITY = re.compile(r"(?:Document|Catalog)_\w+")
_DAY = timedelta(days=1)
_SEXES = {"мужской": "male", "м": "male", "женский": "female", "ж": "female"}
_PHONE, _EMAIL = "Телефон", "АдресЭлектроннойПочты"


# --- what clinic.yaml says of a configuration ----------------------------------------------------------


def _entity(value: str) -> str:
    if not _ENTITY.fullmatch(value):
        raise ValueError("write the name as OData publishes it: Document_… or Catalog_…")
    return value


class VisitDocuments(BaseModel):
    """Which document is a visit, and what its fields are called (without `_Key`).

    The defaults are those of accounting configurations, whose act of sale has no doctor: name the doctor's
    field where the clinic's configuration has one. A field is looked for in the line first, then in the
    document.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    document: str = "Document_РеализацияТоваровУслуг"
    sections: tuple[str, ...] = ("Услуги",)
    date: str = "Date"
    patient: str = "Контрагент"
    branch: str | None = "ПодразделениеОрганизации"
    room: str | None = None
    doctor: str | None = None
    service: str = "Номенклатура"
    amount: str = "Сумма"
    discount: str | None = None
    vat: str | None = "СуммаНДС"
    vat_is_included: str | None = "СуммаВключаетНДС"

    _named = field_validator("document")(_entity)


class PaymentDocuments(BaseModel):
    """A kind of document that moves patients' money.

    income, refund
        Values of `operation` that are money received and money given back; documents of other operations
        (salaries, suppliers, transfers) are not read.
    counts
        `income` or `refund` for a document that is nothing else and has no operation.
    lines, visit
        The tabular section whose lines name the visits that were paid, and the field that does; without a
        section the field is the document's own. `line_amount` is the line's amount.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    document: str
    payer_type: str | None = None
    operation: str = "ВидОперации"
    income: tuple[str, ...] = ("ОплатаПокупателя",)
    refund: tuple[str, ...] = ("ВозвратПокупателю",)
    counts: Literal["by_operation", "income", "refund"] = "by_operation"
    date: str = "Date"
    patient: str = "Контрагент"
    amount: str = "СуммаДокумента"
    visit: str | None = None
    lines: str | None = None
    line_amount: str = "СуммаПлатежа"

    _named = field_validator("document")(_entity)

    @field_validator("payer_type")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in PAYER_TYPES:
            raise ValueError(f"{value!r} is none of {', '.join(PAYER_TYPES)}")
        return value


class PatientCatalog(BaseModel):
    """Where patients' cards are, and what their fields are called. Names are never read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    catalog: str = "Catalog_Контрагенты"
    contacts: str = "КонтактнаяИнформация"
    birth_date: str = "ДатаРождения"
    sex: str = "Пол"
    registered: str | None = None

    _named = field_validator("catalog")(_entity)


class NameCatalogs(BaseModel):
    """Catalogues whose names stand for services, doctors and branches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = "Catalog_Номенклатура"
    doctor: str = "Catalog_Сотрудники"
    branch: str = "Catalog_ПодразделенияОрганизаций"
    room: str | None = None

    _named = field_validator("service", "doctor", "branch")(_entity)

    @property
    def all(self) -> tuple[str, ...]:
        """Every catalogue once."""
        return tuple(dict.fromkeys(c for c in (self.service, self.doctor, self.branch, self.room) if c))


# Retail reports and till receipts are left out: they tell the same money as the orders here, and a transfer
# of the acquiring bank tells that of the card payments.
DEFAULT_PAYMENTS = (
    PaymentDocuments(document="Document_ПриходныйКассовыйОрдер", payer_type="cash", refund=()),
    PaymentDocuments(document="Document_РасходныйКассовыйОрдер", payer_type="cash", income=()),
    PaymentDocuments(document="Document_ОплатаПлатежнойКартой", payer_type="card"),
    PaymentDocuments(document="Document_ПоступлениеНаРасчетныйСчет", payer_type="transfer", refund=()),
)


class Settings(BaseModel):
    """What of a source's options the reading of documents needs."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    visits: VisitDocuments
    payments: tuple[PaymentDocuments, ...]
    patients: PatientCatalog
    zone: ZoneInfo
    currency: str | None = Field(default=None)


# --- values -------------------------------------------------------------------------------------------

Item = Mapping[str, Any]


def text_of(value: object) -> str | None:
    """A text, None when empty."""
    return (value.strip() or None) if isinstance(value, str) else None


def reference(name: str | None, *items: Item) -> str | None:
    """What a reference field points to, in the first item that has it filled; the guid of zeros is none.

    A field of one type is called `Имя_Key`, one of several types `Имя` with a twin `Имя_Type`.
    """
    if name is None:
        return None
    for item in items:
        for field in (f"{name}_Key", name):
            value = text_of(item.get(field))
            if value is not None and value != _EMPTY_GUID:
                return value.lower() if _GUID.fullmatch(value) else value
    return None


def moment(value: object, column: str, zone: ZoneInfo) -> datetime | None:
    """`2021-12-22T17:22:08`, local time; the year 1 is none. Raises RowRefused."""
    text = text_of(value)
    if text is None or text.startswith("0001-"):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise RowRefused(column, "is not a time like 2021-12-22T17:22:08") from None
    return found if found.tzinfo is not None else local_to_utc(found, zone)


def money(value: object, column: str) -> Decimal | None:
    """An amount, a number or text. Raises RowRefused."""
    if value is None or value == "":
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise RowRefused(column, "is not an amount") from None


def lines_of(item: Item, section: str) -> list[Item]:
    """The lines of a tabular section."""
    value = item.get(section)
    return [line for line in value if isinstance(line, dict)] if isinstance(value, list) else []


def is_posted(item: Item) -> bool:
    """Whether a document counts: posted, and not marked for deletion."""
    return item.get("Posted") is True and item.get("DeletionMark") is not True


# --- rows ---------------------------------------------------------------------------------------------


def visit_rows(item: Item, settings: Settings, log: ReadLog) -> Iterator[dict[str, Any]]:
    """One row for each service of a document; none for one that is not posted or sells goods alone.

    Raises RowRefused.
    """
    how = settings.visits
    if not is_posted(item):
        log.skip("document not posted, or marked for deletion")
        return
    lines = [(section, line) for section in how.sections for line in lines_of(item, section)]
    if not lines:
        log.skip("document without services")
        return
    common = {
        "visit_id": reference("Ref", item),
        "patient_id": reference(how.patient, item),
        "visited_at": moment(item.get(how.date), "visited_at", settings.zone),
        "status": "completed",
        "currency": settings.currency,
        "is_line": True,
        "is_appointment": False,
        "document": how.document,
        "data_version": text_of(item.get("DataVersion")),
    }
    adds_vat = how.vat_is_included is not None and item.get(how.vat_is_included) is False
    for place, (section, line) in enumerate(lines, start=1):
        amount = money(line.get(how.amount), "amount")
        if adds_vat and amount is not None and how.vat is not None:
            amount += money(line.get(how.vat), "amount") or 0
        number = str(line.get("LineNumber", place))
        yield {
            **common,
            "line_id": number if len(how.sections) == 1 else f"{section}:{number}",
            "service_key": reference(how.service, line),
            "doctor_key": reference(how.doctor, line, item),
            "branch_key": reference(how.branch, line, item),
            "room_key": reference(how.room, line, item),
            "amount": amount,
            "discount": money(line.get(how.discount), "discount") if how.discount else None,
        }


def payment_rows(
    item: Item, how: PaymentDocuments, settings: Settings, log: ReadLog
) -> Iterator[dict[str, Any]]:
    """The money of a document: one row, or one for each visit that its lines name. Raises RowRefused."""
    if not is_posted(item):
        log.skip("document not posted, or marked for deletion")
        return
    operation = text_of(item.get(how.operation))
    sign = _sign(how, operation)
    if sign == 0:
        log.skip(f"{how.document}: {operation}")
        return
    identity = reference("Ref", item)
    common = {
        "patient_id": reference(how.patient, item),
        "paid_at": moment(item.get(how.date), "paid_at", settings.zone),
        "currency": settings.currency,
        "payer_type": how.payer_type,
        "document": how.document,
        "operation": operation,
        "data_version": text_of(item.get("DataVersion")),
    }
    whole = money(item.get(how.amount), "amount")
    lines = lines_of(item, how.lines) if how.lines is not None else []
    if not lines:
        visit_id = reference(how.visit, item) if how.lines is None else None
        amount = None if whole is None else sign * whole
        yield {**common, "payment_id": identity, "visit_id": visit_id, "amount": amount}
        return
    amounts = [money(line.get(how.line_amount), "amount") for line in lines]
    told = [amount for amount in amounts if amount is not None]
    if len(told) < len(lines) or sum(told) != whole:
        raise RowRefused("amount", "the lines do not add up to the document")
    for place, (line, amount) in enumerate(zip(lines, told, strict=True), start=1):
        yield {
            **common,
            "payment_id": f"{identity}:{line.get('LineNumber', place)}",
            "visit_id": reference(how.visit, line),
            "amount": sign * amount,
        }


def _sign(how: PaymentDocuments, operation: str | None) -> int:
    """1 for money received, -1 for money given back, 0 for what concerns no patient."""
    if how.counts != "by_operation":
        return 1 if how.counts == "income" else -1
    if operation is None:
        raise RowRefused("operation", "the document tells no operation; set `counts` or `operation` of it")
    if operation in how.income:
        return 1
    return -1 if operation in how.refund else 0


def patient_rows(item: Item, settings: Settings, log: ReadLog) -> Iterator[dict[str, Any]]:
    """The card of a patient; none for a folder or a card marked for deletion. Raises RowRefused."""
    how = settings.patients
    if item.get("IsFolder") is True or item.get("DeletionMark") is True:
        log.skip("folder, or card marked for deletion")
        return
    born = moment(item.get(how.birth_date), "birth_year", settings.zone)
    phones, emails = [], []
    for line in lines_of(item, how.contacts):
        kind = text_of(line.get("Тип"))
        shown = text_of(line.get("Представление"))
        if kind == _PHONE and (number := text_of(line.get("НомерТелефона")) or shown):
            phones.append(number)
        elif kind == _EMAIL and (address := text_of(line.get("АдресЭП")) or shown):
            emails.append(address)
    registered = None if how.registered is None else item.get(how.registered)
    yield {
        "patient_id": reference("Ref", item),
        "phone_keys": phones or None,
        "email_keys": emails or None,
        "birth_year": None if born is None else born.year,
        "sex": _SEXES.get((text_of(item.get(how.sex)) or "").lower()),
        "registered_at": moment(registered, "registered_at", settings.zone),
    }


def catalog_rows(item: Item, catalog: str) -> Iterator[dict[str, Any]]:
    """The name of a service, doctor or branch."""
    yield {"ref_key": reference("Ref", item), "catalog": catalog, "name": text_of(item.get("Description"))}


# --- API ----------------------------------------------------------------------------------------------


def _judge(answer: Answer) -> ApiError | None:
    """`odata.error` says what is wrong. A missing right comes as 500, and asking again is of no use."""
    if answer.status in (401, 404) or answer.status < 400:
        return None
    try:
        error = answer.json().get("odata.error")
        said = " ".join(str(error["message"]["value"]).split())[:200]
    except (ValueError, AttributeError, KeyError, TypeError):
        return None
    hint = "; a right of the user may be missing" if answer.status == 500 else ""
    return PermanentError(f"HTTP {answer.status} ({said}{hint})")


class Infobase:
    """One infobase published by OData."""

    def __init__(self, name: str, base_url: str, user: str, password: SecretStr) -> None:
        both = f"{user}:{password.get_secret_value()}".encode()
        self.api = Api(
            name,
            base_url,
            per_second=_PER_SECOND,
            headers={
                "Authorization": f"Basic {base64.b64encode(both).decode()}",
                "Accept": "application/json",
            },
            secrets=[password, SecretStr(base64.b64encode(both).decode())],
            setting="password",
            judge=_judge,
        )

    def documents(
        self, name: str, window: Window, date: str, *, lacking: ReadLog | None = None
    ) -> Iterator[dict[str, Any]]:
        """Posted documents of the window's days.

        With `lacking`, a document that the infobase does not have is noted there; else it is an error.
        Raises ApiError.
        """
        until = window.until + _DAY
        wanted = (
            "Posted eq true and DeletionMark eq false "
            f"and {date} ge datetime'{window.since}T00:00:00' and {date} lt datetime'{until}T00:00:00'"
        )
        return self._listed(name, wanted, f"{date},Ref_Key", lacking)

    def catalog(self, name: str, *, lacking: ReadLog | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a catalogue; `lacking` as of `documents`. Raises ApiError."""
        return self._listed(name, None, "Ref_Key", lacking)

    def entities(self) -> set[str]:
        """Names of what is published. Raises ApiError."""
        body = self.api.get("/", {"$format": "json"}).json()
        listed = body.get("value") if isinstance(body, dict) else None
        if not isinstance(listed, list):
            raise self.api.error(PermanentError, "answered without a list of what is published")
        return {str(entry.get("name")) for entry in listed if isinstance(entry, dict)}

    def _listed(
        self, name: str, wanted: str | None, order: str, lacking: ReadLog | None
    ) -> Iterator[dict[str, Any]]:
        path = f"/{quote(name)}"
        filters = {} if wanted is None else {"$filter": wanted}
        counted = self.api.get(f"{path}/$count", filters, expect="text", accept=(404,))
        if counted.status == 404:
            if lacking is not None:
                lacking.notes.append(f"1C publishes no {name}; read without it")
                return
            raise self.api.error(
                PermanentError,
                f"1C publishes no {name}; tick it under Administration > Publishing > OData, or name the "
                "configuration's own document or catalogue in clinic.yaml",
            )
        try:
            announced = int(counted.body.decode("utf-8-sig").strip())
        except ValueError:
            raise self.api.error(PermanentError, f"{name}: $count gave no number") from None
        seen: set[str] = set()
        skipped = 0
        while len(seen) < announced:
            asked = {
                **filters,
                "$format": "json",
                "$orderby": order,
                "$top": str(_PAGE_ROWS),
                "$skip": str(skipped),
            }
            body = self.api.get(path, asked).json()
            page = body.get("value") if isinstance(body, dict) else None
            if not isinstance(page, list):
                raise self.api.error(PermanentError, f"{name}: answered without `value`")
            if not page:
                raise self.api.error(IncompleteError, f"{name}: gave {len(seen)} of {announced} items")
            skipped += len(page)
            for item in page:
                identity = str(item.get("Ref_Key")) if isinstance(item, dict) else ""
                if identity not in seen:
                    seen.add(identity)
                    yield item


class Rows:
    """Numbers rows, and refuses an item whole when a part of it cannot be read."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._number = 0

    def of(self, item: object, make: Any) -> Iterator[Row]:
        """The rows that `make` gives of an item."""
        if not isinstance(item, dict):
            self._number += 1
            yield Row(self._number, {}, ("", "is not a JSON object"))
            return
        try:
            found = list(make(item))
        except RowRefused as error:
            self._number += 1
            yield Row(self._number, {self._key: reference("Ref", item)}, (error.column, error.reason))
            return
        for values in found:
            self._number += 1
            yield Row(self._number, values)
