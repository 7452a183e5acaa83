"""What lands of YCLIENTS: streams, the options of a source, and how an item of an answer becomes rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.conformed import PAYER_TYPES
from connectors.contract import Column, ReadLog, Row, SourceOptions, Stream, end_of_day, local_to_utc
from connectors.errors import RowRefused
from connectors.web import read_address

_NO_DATE = re.compile(r"0000-|0001-|-?$")
# What the client card holds where nobody asked for the birthday.
_NO_BIRTHDAY = "1970-01-01"
_SEXES = {"1": "male", "2": "female"}
_MASK = re.compile(r"[*xX•]{2,}")
_CURRENCY = Column("currency", "text", "`currency` of the source; the clinic's when empty.")

COMPANIES = Stream(
    name="companies",
    description="The branch, as YCLIENTS knows it.",
    columns=(
        Column("company_id", "text", "Id of the branch.", required=True),
        Column("title", "text", "`branch` of the source, else the branch's title."),
        Column("zone", "text", "Time zone of the branch, as YCLIENTS says."),
    ),
    primary_key=("company_id",),
)
STAFF = Stream(
    name="staff",
    description="Staff of the branch, those who left included.",
    columns=(
        Column("staff_id", "text", "Id.", required=True),
        Column("name", "text", "Name."),
        Column("specialization", "text", "Specialty."),
    ),
    primary_key=("staff_id",),
)
RECORDS = Stream(
    name="records",
    description="Bookings: one row for each service or product of a record, one for a record without any.",
    columns=(
        Column("record_id", "text", "Record's id.", required=True, record_id=True),
        Column("line_no", "integer", "Place of the line within the record, from 1.", required=True),
        Column("visit_id", "text", "Visit that the record belongs to.", record_id=True),
        Column("client_id", "text", "Client's id; NULL for blocked time and passers-by.", record_id=True),
        Column("phone_key", "text", "Keyed hash of the client's number.", personal="phone"),
        Column("email_key", "text", "Keyed hash of the client's address.", personal="email"),
        Column("birth_year", "integer", "Year of the client's birthday, where the record carries it."),
        Column("sex", "text", "female or male, where the record carries it."),
        Column("staff_id", "text", "Staff member's id."),
        Column("staff_name", "text", "Staff member's name."),
        Column("scheduled_at", "timestamp", "datetime: start.", required=True),
        Column("booked_at", "timestamp", "create_date: when the record was made."),
        Column("changed_at", "timestamp", "last_change_date."),
        Column("attendance", "integer", "2 confirmed, 1 came and was served, 0 awaited, -1 did not come."),
        Column("is_deleted", "boolean", "The record was deleted, which is how a booking is cancelled."),
        Column("is_online", "boolean", "Booked online, not by the staff."),
        Column("length_s", "integer", "Planned length, seconds."),
        Column("is_product", "boolean", "The line is a product sold with the visit, not a service."),
        Column("service", "text", "Title of the service or product; NULL for a record without any."),
        Column("first_cost", "decimal", "Cost of the line before discounts."),
        Column("cost", "decimal", "Cost of the line to be paid."),
        _CURRENCY,
        Column("utm_source", "text", "utm_source of the booking page, lower case."),
        Column("utm_medium", "text", "utm_medium, lower case."),
        Column("utm_campaign", "text", "utm_campaign."),
        Column("campaign_id", "text", "Campaign id in the tags."),
        Column("utm_content", "text", "utm_content."),
        Column("utm_term", "text", "utm_term."),
        Column("click_id_type", "text", "gclid, yclid …"),
        Column("click_id", "text", "The click id."),
        Column("landing_path", "text", "Path of the booking page."),
    ),
    primary_key=("record_id", "line_no"),
    replaces=("record_id",),
    event_day="scheduled_at",
    version="changed_at",
    restatement_days=35,
    may_be_future=True,
)
TRANSACTIONS = Stream(
    name="transactions",
    description="Money operations of the branch, the clinic's own expenses among them.",
    columns=(
        Column("transaction_id", "text", "Id.", required=True),
        Column("document_id", "text", "Document it belongs to."),
        Column("visit_id", "text", "Visit it pays.", record_id=True),
        Column("record_id", "text", "Record it pays.", record_id=True),
        Column("client_id", "text", "Client who paid.", record_id=True),
        Column("staff_id", "text", "Staff member it concerns."),
        Column("paid_at", "timestamp", "date: when the money moved.", required=True),
        Column("changed_at", "timestamp", "last_change_date."),
        Column("amount", "decimal", "Amount, signed: what leaves the cash desk is negative.", required=True),
        _CURRENCY,
        Column("expense_id", "text", "Id of the type of operation."),
        Column("expense", "text", "Type of operation (Оказание услуг, Продажа товаров …)."),
        Column("account", "text", "Cash desk or bank account."),
        Column("is_cash_account", "boolean", "The account is a cash desk; NULL when unknown."),
        Column("sold_item_type", "text", "service, goods_transaction, loyalty_abonement …, where told."),
        Column("is_real_money", "boolean", "YCLIENTS lists it among real money; NULL in a saved answer."),
        Column("is_deleted", "boolean", "The operation was deleted."),
        Column("configured_payer_type", "text", "`payer_types` of the source for this account."),
    ),
    primary_key=("transaction_id",),
    event_day="paid_at",
    version="changed_at",
    restatement_days=60,
)
CLIENTS = Stream(
    name="clients",
    description="Clients of the branch, without their names.",
    columns=(
        Column("client_id", "text", "Id.", required=True, record_id=True),
        Column("phone_keys", "text[]", "Keyed hash of the number.", personal="phone"),
        Column("email_keys", "text[]", "Keyed hash of the address.", personal="email"),
        Column("birth_year", "integer", "Year of birth, in answers that carry it."),
        Column("sex", "text", "female or male, in answers that carry it."),
        Column("first_visit_at", "timestamp", "First visit ever, as YCLIENTS knows it."),
        Column("changed_at", "timestamp", "last_change_date, in answers that carry it."),
    ),
    primary_key=("client_id",),
    version="changed_at",
)
REVIEWS = Stream(
    name="reviews",
    description="Reviews of staff and of the branch, without their texts.",
    columns=(
        Column("review_id", "text", "Id.", required=True),
        Column("reviewed_at", "timestamp", "date: when it was written.", required=True),
        Column("rating", "integer", "1 to 5."),
        Column("staff_id", "text", "Staff member it is about; NULL for the branch."),
    ),
    primary_key=("review_id",),
    event_day="reviewed_at",
)
STREAMS = (COMPANIES, STAFF, RECORDS, TRANSACTIONS, CLIENTS, REVIEWS)


class YclientsOptions(SourceOptions):
    """A source of kind `yclients`: one branch.

    `timezone` is the branch's own. `payer_types` says how an account's money was paid where its name does
    not (`{"Бонусы сети": loyalty}`), with one of the payer types of the conformed model.
    """

    kind: Literal["yclients"] = "yclients"
    company_id: str | None = None
    partner_token: SecretStr | None = None
    user_token: SecretStr | None = None
    branch: str | None = None
    payer_types: dict[str, str] = Field(default_factory=dict)
    base_url: str = "https://api.yclients.com/api/v1"

    @field_validator("company_id", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("payer_types")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for account, payer_type in value.items():
            if payer_type not in PAYER_TYPES:
                raise ValueError(f"{account!r}: {payer_type!r} is none of {', '.join(PAYER_TYPES)}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> YclientsOptions:
        given = [name for name in ("partner_token", "user_token") if getattr(self, name) is not None]
        needed = ("company_id", "partner_token", "user_token")
        missing = [name for name in needed if getattr(self, name) is None]
        if given and missing:
            raise ValueError(f"{given[0]} is given: yclients needs {', '.join(missing)} too")
        return self


# --- cells --------------------------------------------------------------------------------------------


def id_of(value: object) -> str | None:
    """An id, a number in one answer and text in the next; 0 and "" stand for none."""
    text = "" if value is None or isinstance(value, (bool, dict, list)) else str(value).strip()
    return None if text in ("", "0") else text


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None


def as_object(value: object) -> Mapping[str, Any]:
    """A nested object; null and [] stand for none."""
    return value if isinstance(value, dict) else {}


def _flag(value: object) -> bool | None:
    """true/false, 0/1 and "0"/"1"."""
    return None if value is None or value == "" else str(value).lower() in ("true", "1")


def _whole(value: object, column: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        return int(str(value))
    except ValueError:
        raise RowRefused(column, "is not a whole number") from None


def _money(value: object, column: str) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise RowRefused(column, "is not an amount") from None


def read_moment(value: object, column: str, zone: ZoneInfo) -> datetime | None:
    """`2019-01-16T20:35:11+0900`, or `2015-08-03 20:31:05` in the branch's own zone.

    A day without a time is the end of that day. Raises RowRefused for anything else.
    """
    text = _text(value)
    if text is None or _NO_DATE.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RowRefused(column, "is not a time like 2024-03-09T10:00:00+0300") from None
    if len(text) == len("2024-03-09"):
        return end_of_day(moment.date(), zone)
    return moment if moment.tzinfo is not None else local_to_utc(moment, zone)


def _birth_year(value: object) -> int | None:
    text = _text(value)
    if text is None or text.startswith(_NO_BIRTHDAY) or not re.match(r"[12]\d{3}-", text):
        return None
    return int(text[:4])


def _sex(card: Mapping[str, Any]) -> str | None:
    """`sex_id`, `gender` or a number in `sex`; `sex` may be a word of the interface's language too."""
    return next(
        (found for name in ("sex_id", "gender", "sex") if (found := _SEXES.get(str(card.get(name))))), None
    )


# --- rows ---------------------------------------------------------------------------------------------


@dataclass
class Reading:
    """What the rows of one answer need beside themselves."""

    source: YclientsOptions
    log: ReadLog
    phones: int = 0
    masked: int = 0
    # Account id -> whether it is a cash desk.
    cash_accounts: Mapping[str, bool] | None = None
    # Ids that YCLIENTS lists among real money.
    real: frozenset[str] | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The branch's zone, as the source has it."""
        return self.source.zone

    def phone(self, card: Mapping[str, Any]) -> str | None:
        """The number as written; masked ones are counted, as they link nobody to anything."""
        text = id_of(card.get("phone"))
        if text is not None:
            self.phones += 1
            self.masked += bool(_MASK.search(text))
        return text

    def note_masked(self) -> None:
        """Say that numbers are masked, which the user's rights decide."""
        if self.masked:
            self.log.notes.append(
                f"{self.masked} of {self.phones} phones are masked; give the user the right to see clients' "
                "phones, or no patient is linked to a call"
            )


Lines = Callable[[Mapping[str, Any], Reading], Iterator[dict[str, Any]]]


def company_values(item: Mapping[str, Any], reading: Reading) -> Iterator[dict[str, Any]]:
    """The branch; a note where its time zone is not the source's."""
    zone = _text(item.get("timezone_name")) or _text(item.get("timezone"))
    if zone is not None and "/" in zone and zone != reading.zone.key:
        reading.log.notes.append(f"the branch is in {zone}, the source in {reading.zone.key}; set timezone")
    title = reading.source.branch or _text(item.get("title"))
    yield {"company_id": id_of(item.get("id")), "title": title, "zone": zone}


def _staff(item: Mapping[str, Any], _reading: Reading) -> Iterator[dict[str, Any]]:
    yield {
        "staff_id": id_of(item.get("id")),
        "name": _text(item.get("name")),
        "specialization": _text(item.get("specialization")),
    }


def _record(item: Mapping[str, Any], reading: Reading) -> Iterator[dict[str, Any]]:
    client, staff = as_object(item.get("client")), as_object(item.get("staff"))
    page = read_address(_text(item.get("from_url")))
    common = {
        "record_id": id_of(item.get("id")),
        "visit_id": id_of(item.get("visit_id")),
        "client_id": id_of(client.get("id")),
        "phone_key": reading.phone(client),
        "email_key": _text(client.get("email")),
        "birth_year": _birth_year(client.get("birthday") or client.get("birth_date")),
        "sex": _sex(client),
        "staff_id": id_of(item.get("staff_id")) or id_of(staff.get("id")),
        "staff_name": _text(staff.get("name")),
        "scheduled_at": read_moment(item.get("datetime") or item.get("date"), "scheduled_at", reading.zone),
        "booked_at": read_moment(item.get("create_date"), "booked_at", reading.zone),
        "changed_at": read_moment(item.get("last_change_date"), "changed_at", reading.zone),
        "attendance": _whole(item.get("attendance"), "attendance"),
        "is_deleted": _flag(item.get("deleted")) or False,
        "is_online": _flag(item.get("online")),
        "length_s": _whole(item.get("seance_length") or item.get("length"), "length_s"),
        "currency": reading.source.currency,
        "utm_source": page.utm_source,
        "utm_medium": page.utm_medium,
        "utm_campaign": page.utm_campaign,
        "campaign_id": page.campaign_id,
        "utm_content": page.utm_content,
        "utm_term": page.utm_term,
        "click_id_type": page.click_id_type,
        "click_id": page.click_id,
        "landing_path": page.path,
    }
    lines = [_line(line, is_product=False) for line in items_of(item.get("services"))]
    lines += [_line(line, is_product=True) for line in items_of(item.get("goods_transactions"))]
    for number, line in enumerate(lines or [{}], start=1):
        yield {**common, "line_no": number, **line}


def items_of(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; null and {} stand for none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _line(line: Mapping[str, Any], *, is_product: bool) -> dict[str, Any]:
    title = _text(line.get("title")) or _text(line.get("good_title"))
    return {
        "is_product": is_product,
        "service": title or _text(as_object(line.get("good")).get("title")),
        "first_cost": _money(line.get("first_cost"), "first_cost"),
        "cost": _money(line.get("cost"), "cost"),
    }


def _transaction(item: Mapping[str, Any], reading: Reading) -> Iterator[dict[str, Any]]:
    account, expense = as_object(item.get("account")), as_object(item.get("expense"))
    identity, account_id = id_of(item.get("id")), id_of(account.get("id")) or id_of(item.get("account_id"))
    is_cash = _flag(account.get("is_cash"))
    if is_cash is None and account_id is not None and reading.cash_accounts is not None:
        is_cash = reading.cash_accounts.get(account_id)
    title = _text(account.get("title"))
    yield {
        "transaction_id": identity,
        "document_id": id_of(item.get("document_id")),
        "visit_id": id_of(item.get("visit_id")),
        "record_id": id_of(item.get("record_id")),
        "client_id": id_of(as_object(item.get("client")).get("id")) or id_of(item.get("client_id")),
        "staff_id": id_of(as_object(item.get("master")).get("id")) or id_of(item.get("master_id")),
        "paid_at": read_moment(item.get("date"), "paid_at", reading.zone),
        "changed_at": read_moment(item.get("last_change_date"), "changed_at", reading.zone),
        "amount": _money(item.get("amount"), "amount"),
        "currency": reading.source.currency,
        "expense_id": id_of(expense.get("id")) or id_of(item.get("expense_id")),
        "expense": _text(expense.get("title")),
        "account": title,
        "is_cash_account": is_cash,
        "sold_item_type": _text(item.get("sold_item_type")),
        "is_real_money": None if reading.real is None else identity in reading.real,
        "is_deleted": _flag(item.get("deleted")) or False,
        "configured_payer_type": reading.source.payer_types.get(title or ""),
    }


def _client(item: Mapping[str, Any], reading: Reading) -> Iterator[dict[str, Any]]:
    yield {
        "client_id": id_of(item.get("id")),
        "phone_keys": phone if (phone := reading.phone(item)) is None else [phone],
        "email_keys": email if (email := _text(item.get("email"))) is None else [email],
        "birth_year": _birth_year(item.get("birth_date")),
        "sex": _sex(item),
        "first_visit_at": read_moment(item.get("first_visit_date"), "first_visit_at", reading.zone),
        "changed_at": read_moment(item.get("last_change_date"), "changed_at", reading.zone),
    }


def _review(item: Mapping[str, Any], reading: Reading) -> Iterator[dict[str, Any]]:
    rating = _whole(item.get("rating"), "rating")
    yield {
        "review_id": id_of(item.get("id")),
        "reviewed_at": read_moment(item.get("date"), "reviewed_at", reading.zone),
        "rating": rating if rating is not None and 1 <= rating <= 5 else None,
        # type 0 is about the branch
        "staff_id": id_of(item.get("master_id")) if str(item.get("type")) == "1" else None,
    }


_LINES: Mapping[str, Lines] = {
    "companies": company_values,
    "staff": _staff,
    "records": _record,
    "transactions": _transaction,
    "clients": _client,
    "reviews": _review,
}


class Rows:
    """Numbers the rows of a load and refuses the items that cannot be read."""

    def __init__(self, stream: Stream, reading: Reading) -> None:
        self._lines = _LINES[stream.name]
        self._key = stream.group_key[0]
        self._reading = reading
        self._number = 0

    def of(self, item: object) -> Iterator[Row]:
        """The rows of one item: all of its lines, or one that is refused."""
        self._number += 1
        if not isinstance(item, dict):
            yield Row(self._number, {}, ("", "is not a JSON object"))
            return
        try:
            # Whole before any of it: the lines of a record land together or not at all.
            found = list(self._lines(item, self._reading))
        except RowRefused as error:
            yield Row(self._number, {self._key: id_of(item.get("id"))}, (error.column, error.reason))
            return
        for values in found:
            yield Row(self._number, values)
            self._number += 1
        self._number -= 1
