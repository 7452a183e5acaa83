"""Tables of Open Dental: the columns that land, and how a record of the API or of an export becomes a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from connectors._cells import Moments, boolean, cell_text, id_text, number_text
from connectors._settings import DateFormat
from connectors.conformed import PAYER_TYPES
from connectors.contract import Column, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused, RowRefused
from connectors.files import Cell, InboxFile

# The header stands first in an export, below a title at most.
_HEADER_WITHIN = 20
_DAY = timedelta(days=1)

# What the API adds in words beside a number of the database that has the same name but for its case.
_WORDS = frozenset({"confirmed", "payType"})
# What the database keeps -> what the API says.
_APPOINTMENT_STATUSES = {
    "1": "Scheduled",
    "2": "Complete",
    "3": "UnschedList",
    "4": "ASAP",
    "5": "Broken",
    "6": "Planned",
    "7": "PtNote",
    "8": "PtNoteCompleted",
}
PROCEDURE_STATUSES = {
    "1": "TP",
    "2": "C",
    "3": "EC",
    "4": "EO",
    "5": "R",
    "6": "D",
    "7": "Cn",
    "8": "TPi",
}
_PATIENT_STATUSES = {
    "0": "Patient",
    "1": "NonPatient",
    "2": "Inactive",
    "3": "Archived",
    "4": "Deleted",
    "5": "Deceased",
    "6": "Prospective",
}
_SEXES = {"male": "male", "0": "male", "female": "female", "1": "female"}
_CURRENCY = Column("currency", "text", "`currency` of the source; the clinic's when empty.")
_CHANGED_AT = Column("changed_at", "timestamp", "DateTStamp: last change.")

APPOINTMENTS = Stream(
    name="appointments",
    description="Appointments, those without a place in the schedule among them.",
    columns=(
        Column("appointment_id", "text", "AptNum.", required=True, record_id=True),
        Column("patient_id", "text", "PatNum.", required=True, record_id=True),
        Column("status", "text", "AptStatus.", required=True),
        Column("confirmed", "text", "confirmed: how the practice words its confirmation."),
        Column("scheduled_at", "timestamp", "AptDateTime; NULL when it has no time."),
        Column("scheduled_on", "date", "Day of AptDateTime, the practice's."),
        Column("booked_at", "timestamp", "SecDateTEntry: when it was made."),
        Column("arrived_at", "timestamp", "DateTimeArrived."),
        Column("seated_at", "timestamp", "DateTimeSeated."),
        Column("minutes", "integer", "Planned length: five minutes for each character of Pattern."),
        Column("service", "text", "ProcDescript: abbreviations of the planned procedures."),
        Column("provider_id", "text", "ProvNum, or ProvHyg of a hygiene appointment."),
        Column("provider", "text", "provAbbr, of the dentist."),
        Column("clinic_id", "text", "ClinicNum; NULL without clinics."),
        Column("operatory_id", "text", "Op."),
        Column("is_new_patient", "boolean", "IsNewPatient."),
        Column("broken_means", "text", "`broken_means` of the source."),
        _CHANGED_AT,
    ),
    primary_key=("appointment_id",),
    event_day="scheduled_at",
    version="changed_at",
    restatement_days=35,
    may_be_future=True,
)
PROCEDURELOGS = Stream(
    name="procedurelogs",
    description="Procedures, planned and done.",
    columns=(
        Column("procedure_id", "text", "ProcNum.", required=True),
        Column("patient_id", "text", "PatNum.", required=True, record_id=True),
        Column("appointment_id", "text", "AptNum; NULL without an appointment.", record_id=True),
        Column("done_on", "date", "ProcDate."),
        Column("done_at", "timestamp", "End of that day of the practice."),
        Column("status", "text", "ProcStatus; only C is done work.", required=True),
        Column("code", "text", "procCode."),
        Column("service", "text", "descript."),
        Column("fee", "decimal", "ProcFee, for one unit."),
        Column("units", "integer", "UnitQty and BaseUnits, at least one."),
        Column("discount", "decimal", "Discount."),
        _CURRENCY,
        Column("provider_id", "text", "ProvNum."),
        Column("provider", "text", "provAbbr."),
        Column("clinic_id", "text", "ClinicNum; NULL without clinics."),
        _CHANGED_AT,
    ),
    primary_key=("procedure_id",),
    event_day="done_on",
    version="changed_at",
    restatement_days=2,
    may_be_future=True,
)
PAYMENTS = Stream(
    name="payments",
    description="Payments of patients: how and when. What for stands in paysplits.",
    columns=(
        Column("payment_id", "text", "PayNum.", required=True),
        Column("patient_id", "text", "PatNum: who paid.", record_id=True),
        Column("entered_on", "date", "DateEntry, else PayDate.", required=True),
        Column("paid_on", "date", "PayDate.", required=True),
        Column("amount", "decimal", "PayAmt.", required=True),
        Column("pay_type", "text", "payType: as the practice words it; NULL for an income transfer."),
        Column("clinic_id", "text", "ClinicNum; NULL without clinics."),
        Column("configured_payer_type", "text", "`payer_types` of the source for this payType."),
    ),
    primary_key=("payment_id",),
    event_day="entered_on",
    restatement_days=60,
)
PAYSPLITS = Stream(
    name="paysplits",
    description="Parts of payments, each for a procedure or for later.",
    columns=(
        Column("split_id", "text", "SplitNum.", required=True),
        Column("payment_id", "text", "PayNum.", required=True),
        Column("patient_id", "text", "PatNum: whose procedure it pays.", record_id=True),
        Column("procedure_id", "text", "ProcNum; NULL for what is not spent yet."),
        Column("paid_at", "timestamp", "DatePay: the end of that day of the practice.", required=True),
        Column("amount", "decimal", "SplitAmt; negative for what is taken back or moved.", required=True),
        _CURRENCY,
        Column("unearned_type", "text", "UnearnedType; not NULL for a prepayment."),
        Column("provider_id", "text", "ProvNum."),
        Column("clinic_id", "text", "ClinicNum; NULL without clinics."),
    ),
    primary_key=("split_id",),
    event_day="paid_at",
)
PATIENTS = Stream(
    name="patients",
    description="Patients, without names and addresses.",
    columns=(
        Column("patient_id", "text", "PatNum.", required=True, record_id=True),
        Column("status", "text", "PatStatus."),
        Column(
            "phone_keys",
            "text[]",
            "Keyed hashes of WirelessPhone, HmPhone and WkPhone.",
            personal="phone",
        ),
        Column("email_keys", "text[]", "Keyed hashes of Email.", personal="email"),
        Column("birth_year", "integer", "Year of Birthdate."),
        Column("sex", "text", "Gender; NULL when unknown."),
        Column("registered_at", "timestamp", "The earlier of SecDateEntry and DateFirstVisit."),
        _CHANGED_AT,
    ),
    primary_key=("patient_id",),
    version="changed_at",
)
PROVIDERS = Stream(
    name="providers",
    description="Dentists and hygienists.",
    columns=(
        Column("provider_id", "text", "ProvNum.", required=True),
        Column("name", "text", "FName, LName and Suffix; Abbr without them."),
    ),
    primary_key=("provider_id",),
)
CLINICS = Stream(
    name="clinics",
    description="Branches of the practice; empty where it has one.",
    columns=(
        Column("clinic_id", "text", "ClinicNum.", required=True),
        Column("name", "text", "Description, else Abbr."),
    ),
    primary_key=("clinic_id",),
)


def _as_list(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value,)


Formats = Annotated[tuple[DateFormat, ...], BeforeValidator(_as_list)]


class OpenDentalOptions(SourceOptions):
    """A source of kind `open_dental`: one practice.

    `timezone` is the practice's own. `broken_means` says what a broken appointment is that has neither of
    the procedures D9986 and D9987. `payer_types` maps the practice's payment types to those of the conformed
    model. `datetime_format` and `date_format` are those of its exports, in Python's strptime; ISO 8601 when
    left out, as the API writes.
    """

    reach: ClassVar[frozenset[str]] = frozenset({"base_url", "requests_per_second"})

    kind: Literal["open_dental"] = "open_dental"
    developer_key: SecretStr | None = None
    customer_key: SecretStr | None = None
    base_url: str = "https://api.opendental.com/api/v1"
    # What is allowed depends on the developer's plan.
    requests_per_second: float = Field(default=1.0, gt=0, le=50)
    broken_means: Literal["no_show", "cancelled_by_patient", "unknown"] = "unknown"
    payer_types: dict[str, str] = Field(default_factory=dict)
    datetime_format: Formats = ()
    date_format: Formats = ()

    @field_validator("payer_types")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for pay_type, payer_type in value.items():
            if payer_type not in PAYER_TYPES:
                raise ValueError(f"{pay_type!r}: {payer_type!r} is none of {', '.join(PAYER_TYPES)}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> OpenDentalOptions:
        if (self.developer_key is None) != (self.customer_key is None):
            missing = "developer_key" if self.developer_key is None else "customer_key"
            raise ValueError(f"open_dental needs {missing} too: both keys go into one header")
        return self


# --- cells --------------------------------------------------------------------------------------------


class _Cells:
    """The fields of one record, by their names in the API, as values that land. Raises RowRefused."""

    def __init__(self, source: OpenDentalOptions) -> None:
        self._moments = Moments(source.datetime_format, source.date_format, source.zone)
        self._fields: Mapping[str, Any] = {}

    def turn_to(self, fields: Mapping[str, Any]) -> None:
        """Read from this record on."""
        self._fields = fields

    def text(self, name: str) -> str | None:
        """A text; None when empty."""
        return cell_text(self._fields.get(name)) or None

    def id(self, name: str, column: str) -> str | None:
        """A key of the database; 0 stands for none."""
        try:
            text = id_text(self._fields.get(name))
        except ValueError as error:
            raise RowRefused(column, str(error)) from None
        return None if text in ("", "0") else text

    def word(self, name: str, words: Mapping[str, str]) -> str | None:
        """What the API writes as a word and the database as a number."""
        text = self.text(name)
        return text if text is None else words.get(text, text)

    def flag(self, name: str, column: str) -> bool | None:
        """True and false as words or as 1 and 0."""
        text = self.text(name)
        try:
            return None if text is None else boolean(text)
        except ValueError as error:
            raise RowRefused(column, str(error)) from None

    def amount(self, name: str, column: str) -> Decimal | None:
        """Money, as text or as a number."""
        text = self.text(name)
        try:
            plain = None if text is None else number_text(text, ".")
            return None if plain is None else Decimal(plain)
        except (ValueError, InvalidOperation):
            raise RowRefused(column, "is not an amount") from None

    def whole(self, name: str, column: str) -> int:
        """A whole number; 0 when empty."""
        text = self.text(name)
        try:
            return 0 if text is None else int(Decimal(text))
        except (ValueError, InvalidOperation):
            raise RowRefused(column, "is not a whole number") from None

    def found(self, name: str, column: str) -> tuple[datetime, bool] | None:
        """(moment without zone, whether it is a day); None for the year 1."""
        try:
            return self._moments.read(self._fields.get(name))
        except ValueError as error:
            raise RowRefused(column, str(error)) from None

    def moment(self, name: str, column: str) -> datetime | None:
        """A clock time of the practice; the end of the day where only that is told."""
        found = self.found(name, column)
        return None if found is None else self._moments.moment(found)

    def day(self, name: str, column: str) -> date | None:
        """A day of the practice."""
        found = self.found(name, column)
        return None if found is None else self._moments.day(found)

    def end_of_day(self, name: str, column: str) -> datetime | None:
        """The end of a day, whatever time the database put beside it."""
        found = self.found(name, column)
        return None if found is None else self._moments.moment((found[0], True))


# --- rows ---------------------------------------------------------------------------------------------

Values = Callable[[_Cells, OpenDentalOptions], dict[str, Any]]


def _appointment(cells: _Cells, source: OpenDentalOptions) -> dict[str, Any]:
    is_hygiene = cells.flag("IsHygiene", "provider_id")
    dentist, hygienist = cells.id("ProvNum", "provider_id"), cells.id("ProvHyg", "provider_id")
    by_hygienist = bool(is_hygiene) and hygienist is not None
    pattern = cells.text("Pattern")
    return {
        "appointment_id": cells.id("AptNum", "appointment_id"),
        "patient_id": cells.id("PatNum", "patient_id"),
        "status": cells.word("AptStatus", _APPOINTMENT_STATUSES),
        "confirmed": cells.text("confirmed"),
        "scheduled_at": cells.moment("AptDateTime", "scheduled_at"),
        "scheduled_on": cells.day("AptDateTime", "scheduled_on"),
        "booked_at": cells.moment("SecDateTEntry", "booked_at"),
        "arrived_at": _clock(cells, "DateTimeArrived", "arrived_at"),
        "seated_at": _clock(cells, "DateTimeSeated", "seated_at"),
        "minutes": None if pattern is None else 5 * len(pattern),
        "service": cells.text("ProcDescript"),
        "provider_id": hygienist if by_hygienist else dentist,
        # the abbreviation is the dentist's alone
        "provider": None if by_hygienist else cells.text("provAbbr"),
        "clinic_id": cells.id("ClinicNum", "clinic_id"),
        "operatory_id": cells.id("Op", "operatory_id"),
        "is_new_patient": cells.flag("IsNewPatient", "is_new_patient"),
        "broken_means": source.broken_means,
        "changed_at": cells.moment("DateTStamp", "changed_at"),
    }


def _clock(cells: _Cells, name: str, column: str) -> datetime | None:
    """A time in the day's course; midnight means that the step was not reached."""
    found = cells.found(name, column)
    return None if found is None or found[0].time() == time() else cells.moment(name, column)


def _procedure(cells: _Cells, source: OpenDentalOptions) -> dict[str, Any]:
    units = cells.whole("UnitQty", "units") + cells.whole("BaseUnits", "units")
    return {
        "procedure_id": cells.id("ProcNum", "procedure_id"),
        "patient_id": cells.id("PatNum", "patient_id"),
        "appointment_id": cells.id("AptNum", "appointment_id"),
        "done_on": cells.day("ProcDate", "done_on"),
        "done_at": cells.end_of_day("ProcDate", "done_at"),
        "status": cells.word("ProcStatus", PROCEDURE_STATUSES),
        "code": cells.text("procCode"),
        "service": cells.text("descript"),
        "fee": cells.amount("ProcFee", "fee"),
        "units": max(units, 1),
        "discount": cells.amount("Discount", "discount"),
        "currency": source.currency,
        "provider_id": cells.id("ProvNum", "provider_id"),
        "provider": cells.text("provAbbr"),
        "clinic_id": cells.id("ClinicNum", "clinic_id"),
        "changed_at": cells.moment("DateTStamp", "changed_at"),
    }


def _payment(cells: _Cells, source: OpenDentalOptions) -> dict[str, Any]:
    paid_on = cells.day("PayDate", "paid_on")
    pay_type = cells.text("payType")
    return {
        "payment_id": cells.id("PayNum", "payment_id"),
        "patient_id": cells.id("PatNum", "patient_id"),
        "entered_on": cells.day("DateEntry", "entered_on") or paid_on,
        "paid_on": paid_on,
        "amount": cells.amount("PayAmt", "amount"),
        "pay_type": pay_type,
        "clinic_id": cells.id("ClinicNum", "clinic_id"),
        "configured_payer_type": source.payer_types.get(pay_type or ""),
    }


def _split(cells: _Cells, source: OpenDentalOptions) -> dict[str, Any]:
    return {
        "split_id": cells.id("SplitNum", "split_id"),
        "payment_id": cells.id("PayNum", "payment_id"),
        "patient_id": cells.id("PatNum", "patient_id"),
        "procedure_id": cells.id("ProcNum", "procedure_id"),
        "paid_at": cells.end_of_day("DatePay", "paid_at"),
        "amount": cells.amount("SplitAmt", "amount"),
        "currency": source.currency,
        "unearned_type": cells.id("UnearnedType", "unearned_type"),
        "provider_id": cells.id("ProvNum", "provider_id"),
        "clinic_id": cells.id("ClinicNum", "clinic_id"),
    }


def _patient(cells: _Cells, _source: OpenDentalOptions) -> dict[str, Any]:
    birth = cells.day("Birthdate", "birth_year")
    opened = [
        moment
        for name in ("SecDateEntry", "DateFirstVisit")
        if (moment := cells.end_of_day(name, "registered_at")) is not None
    ]
    phones = [text for name in ("WirelessPhone", "HmPhone", "WkPhone") if (text := cells.text(name))]
    return {
        "patient_id": cells.id("PatNum", "patient_id"),
        "status": cells.word("PatStatus", _PATIENT_STATUSES),
        "phone_keys": phones or None,
        "email_keys": email if (email := cells.text("Email")) is None else email.split(","),
        "birth_year": None if birth is None else birth.year,
        "sex": _SEXES.get((cells.text("Gender") or "").lower()),
        # a practice that moved to Open Dental has older first visits than cards
        "registered_at": min(opened, default=None),
        "changed_at": cells.moment("DateTStamp", "changed_at"),
    }


def _provider(cells: _Cells, _source: OpenDentalOptions) -> dict[str, Any]:
    name = " ".join(text for part in ("FName", "LName", "Suffix") if (text := cells.text(part)))
    return {"provider_id": cells.id("ProvNum", "provider_id"), "name": name or cells.text("Abbr")}


def _clinic(cells: _Cells, _source: OpenDentalOptions) -> dict[str, Any]:
    return {
        "clinic_id": cells.id("ClinicNum", "clinic_id"),
        "name": cells.text("Description") or cells.text("Abbr"),
    }


@dataclass(frozen=True)
class Table:
    """One stream: where the API gives it, its key, what an export must have, what else is read."""

    stream: Stream
    values: Values
    path: str
    needed: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.needed[0]


TABLES: Mapping[str, Table] = {
    table.stream.name: table
    for table in (
        Table(
            APPOINTMENTS,
            _appointment,
            "/appointments",
            ("AptNum", "PatNum", "AptStatus", "AptDateTime"),
            (
                "confirmed",
                "SecDateTEntry",
                "DateTimeArrived",
                "DateTimeSeated",
                "Pattern",
                "ProcDescript",
                "ProvNum",
                "provAbbr",
                "ProvHyg",
                "IsHygiene",
                "ClinicNum",
                "Op",
                "IsNewPatient",
                "DateTStamp",
            ),
        ),
        Table(
            PROCEDURELOGS,
            _procedure,
            "/procedurelogs",
            ("ProcNum", "PatNum", "ProcDate", "ProcFee", "ProcStatus"),
            (
                "AptNum",
                "procCode",
                "descript",
                "UnitQty",
                "BaseUnits",
                "Discount",
                "ProvNum",
                "provAbbr",
                "ClinicNum",
                "DateTStamp",
            ),
        ),
        Table(
            PAYMENTS,
            _payment,
            "/payments",
            ("PayNum", "PatNum", "PayDate", "PayAmt"),
            ("DateEntry", "payType", "ClinicNum"),
        ),
        Table(
            PAYSPLITS,
            _split,
            "/paysplits",
            ("SplitNum", "SplitAmt", "PatNum", "PayNum", "DatePay"),
            ("ProcNum", "UnearnedType", "ProvNum", "ClinicNum"),
        ),
        Table(
            PATIENTS,
            _patient,
            "/patients/Simple",
            ("PatNum",),
            (
                "PatStatus",
                "WirelessPhone",
                "HmPhone",
                "WkPhone",
                "Email",
                "Birthdate",
                "Gender",
                "SecDateEntry",
                "DateFirstVisit",
                "DateTStamp",
            ),
        ),
        Table(PROVIDERS, _provider, "/providers", ("ProvNum",), ("FName", "LName", "Suffix", "Abbr")),
        Table(CLINICS, _clinic, "/clinics", ("ClinicNum",), ("Description", "Abbr")),
    )
}


class Rows:
    """Makes rows of records, refusing those that cannot be read."""

    def __init__(self, table: Table, source: OpenDentalOptions, arrived_at: datetime) -> None:
        self._table = table
        self._source = source
        self._cells = _Cells(source)
        # Completed work is a fact: dated later than the day after, it is a typing mistake.
        self._horizon = arrived_at + _DAY

    def row(self, number: int, item: object) -> Row:
        """The row of one record, refused where it cannot be read."""
        if not isinstance(item, Mapping):
            return Row(number, {}, ("", "is not a JSON object"))
        self._cells.turn_to(item)
        try:
            values = self._table.values(self._cells, self._source)
            scheduled_at = values.get("scheduled_at")
            done_on = values.get("done_on")
            if values.get("status") == "Complete" and scheduled_at is not None:
                self._refuse_future("scheduled_at", is_later=scheduled_at > self._horizon)
            if values.get("status") == "C" and done_on is not None:
                self._refuse_future("done_on", is_later=done_on > self._horizon.date())
        except RowRefused as error:
            own_id = {self._table.stream.primary_key[0]: str(item.get(self._table.key))}
            return Row(number, own_id, (error.column, error.reason))
        return Row(number, values)

    def _refuse_future(self, column: str, *, is_later: bool) -> None:
        if is_later:
            raise RowRefused(column, "lies after the export, yet it is complete")


# --- exports ---------------------------------------------------------------------------------------


def read_export(file: InboxFile, table: Table, rows: Rows, log: ReadLog) -> Iterator[Row]:
    """Rows of a CSV, TSV or XLSX export, below the header that `find_header` found. Raises FileRefused."""
    lines = file.table(fallback="cp1252")
    header, above = find_header(file, table, lines)
    names = _names(header, table)
    if above:
        log.skip("preamble", above)
    log.unknown_columns |= {
        text for at, cell in enumerate(header) if at not in names and (text := cell_text(cell))
    }
    for number, cells in lines:
        if not any(cell_text(cell) for cell in cells):
            log.skip("blank line")
        elif len(cells) > len(header):
            yield Row(number, {}, ("", "has more cells than the header: a delimiter in an unquoted text?"))
        else:
            yield rows.row(number, {name: cells[at] for at, name in names.items() if at < len(cells)})


def find_header(
    file: InboxFile, table: Table, lines: Iterator[tuple[int, list[Cell]]]
) -> tuple[list[Cell], int]:
    """The first line that has every needed name, and how many stand above it. Raises FileRefused."""
    best: set[str] = set()
    seen = 0
    for _, cells in lines:
        present = set(_names(cells, table).values()) & set(table.needed)
        if present == set(table.needed):
            return cells, seen
        best = max(best, present, key=len)
        seen += 1
        if seen == _HEADER_WITHIN:
            break
    if not seen:
        raise FileRefused(f"{file.name}: is empty; export it again")
    missing = ", ".join(name for name in table.needed if name not in best)
    raise FileRefused(
        f"{file.name}: the columns {missing} are missing; run the query again with the table's own names"
    )


def has_twins(header: list[Cell], table: Table) -> bool:
    """Whether two columns have names that differ in case alone, one of them ours."""
    known = {name.lower() for name in (*table.needed, *table.others)}
    named = [key for cell in header if (key := cell_text(cell).strip().lower()) in known]
    return len(set(named)) < len(named)


def _names(cells: list[Cell], table: Table) -> dict[int, str]:
    """Index -> the API's name of a column; case is ignored but where it tells two columns apart."""
    known = (*table.needed, *table.others)
    folded = {name.lower(): name for name in known if name not in _WORDS}
    found: dict[int, str] = {}
    for at, cell in enumerate(cells):
        text = cell_text(cell).strip("\ufeff ")
        name = text if text in known else folded.get(text.lower())
        if name is not None and name not in found.values():
            found[at] = name
    return found
