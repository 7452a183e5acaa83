"""Which tables a clinic's own export can be mapped onto, and which keys of clinic.yaml name their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from connectors.conformed import (
    ACCEPTED,
    APPOINTMENT_STATUSES,
    CHANNELS,
    DERIVED,
    INPUTS,
    PAYER_TYPES,
    REFERENCES,
)
from connectors.contract import Column, Stream

# Accepted texts of the columns that other models branch on.
_ENUMS: Mapping[str, tuple[str, ...]] = {
    "status": APPOINTMENT_STATUSES,
    "payer_type": PAYER_TYPES,
    "care_setting": ("outpatient", "inpatient", "surgery"),
    "sex": ("female", "male"),
    "direction": ("inbound", "outbound", "callback"),
    "contact_kind": ("chat", "form", "messenger", "event", "walk_in", "online_booking", "lead"),
    "tax_basis": ("excl", "incl", "unknown"),
    "report_level": ("account", "campaign", "ad_group", "keyword", "ad"),
    "channel": CHANNELS,
    "resource": ("outpatient", "theatre", "bed"),
}
# A call whose direction nobody mapped would count as inbound, and loyalty points as money, so such rows wait
# in quarantine.
STRICT_ENUMS = frozenset({"direction", "payer_type"})

# Where `source` is the platform as sessions name it, not a text of the clinic's own.
PLATFORM_SOURCES = frozenset({"calls", "contacts", "web_sessions", "ad_spend", "ad_clicks"})
# Tables whose rows carry the tags of the page they came from.
TAGGED = frozenset({"calls", "contacts"})
TAGS = (
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "campaign_id",
    "utm_content",
    "utm_term",
    "click_id_type",
    "click_id",
)
LOWER = frozenset({"medium", "utm_source", "utm_medium", "device", "campaign_type", "click_id_type"})
# Columns of text that are taken apart or rewritten.
READ_TEXTS = frozenset(
    {
        "number",
        "tracking_number",
        "landing_path",
        "landing_host",
        "referrer_host",
        "diagnosis",
        "currency",
    }
)
# Times -> the column that tells whether only their day is known.
DAY_ONLY = {"booked_at": "booked_at_is_date"}
DURATIONS = frozenset({"talk_s", "wait_s", "duration_s"})
NOT_NEGATIVE = frozenset({"cost_native", "impressions", "clicks", "wait_s", "minutes", "pageviews"})

# What a flat visit line tells of besides the visit: one of these columns mapped, and it feeds that table.
APPOINTMENT_KEYS = frozenset({"booked_at", "scheduled_at", "status", "contact_ref", "visitor_id", "user_ref"})
LINE_KEYS = frozenset({"line_id", "service", "amount", "billed"})
PAYMENT_KEYS = frozenset({"paid", "refund"})
PATIENT_KEYS = frozenset(
    {"phone", "email", "birth_date", "birth_year", "sex", "registered_at", "self_reported_source"}
)

# Extra columns of the flat visit line, beside those of the table `visits`.
_FLAT = (
    *(replace(c, required=False) for c in INPUTS["patients"] if c.name not in ("patient_id", "merged_into")),
    *(
        c
        for c in INPUTS["appointments"]
        if c.name in APPOINTMENT_KEYS | {"booked_at_is_date", "minutes"} and c.name != "status"
    ),
    Column("line_id", "text", "Line within the visit; numbered in file order when the export has none."),
    Column("service", "text", "Service of the line."),
    Column("amount", "decimal", "Billed for the line, native currency."),
    Column("paid", "decimal", "Paid for the line, native currency."),
    Column("refund", "decimal", "Refunded for the line: a positive amount, native currency."),
    Column("paid_at", "timestamp", "When it was paid or refunded; the visit's time when empty."),
    Column("payer_type", "text", "cash, card, transfer, insurer, state, employer, loyalty, deposit."),
    Column("is_line", "boolean", "The line tells a service or an amount, and no stream of lines does."),
    Column("is_appointment", "boolean", "The line tells of an appointment that no stream of its own tells."),
)
_CHANGED_AT = Column(
    "changed_at", "timestamp", "Last change of the record in the source; decides which of two is newer."
)
# Filled by the reader, so no heading can be mapped to them.
_FILLED = frozenset({"booked_at_is_date", "is_line", "is_appointment"})
RAW_OF_STATUS = frozenset({"appointments", "visits"})
_PERSONAL_KEYS = {"phone_key": "phone", "phone_keys": "phone", "email_key": "email", "email_keys": "email"}

_KEYS: Mapping[str, tuple[str, ...]] = {
    "calls": ("call_id",),
    "contacts": ("contact_id",),
    "web_sessions": ("session_id",),
    "ad_spend": (
        "spend_date",
        "source",
        "account",
        "report_level",
        "campaign_id",
        "campaign_name",
        "ad_group",
        "keyword",
        "device",
    ),
    "ad_clicks": ("click_id",),
    "other_costs": ("cost_id",),
    "appointments": ("appointment_id",),
    "visits": ("visit_id", "line_id"),
    "visit_lines": ("visit_id", "line_id"),
    "payments": ("payment_id",),
    "patients": ("patient_id",),
    "reviews": ("review_id",),
    "shifts": ("shift_id",),
    "metric_observations": ("observed_on", "metric", "scope", "scope_value"),
    "vendor_totals": ("observed_on", "account", "measure"),
}
_EVENT_DAYS: Mapping[str, str] = {
    "calls": "called_at",
    "contacts": "contacted_at",
    "web_sessions": "started_at",
    "ad_spend": "spend_date",
    "ad_clicks": "clicked_on",
    "other_costs": "starts_on",
    "appointments": "scheduled_at",
    "visits": "visited_at",
    "payments": "paid_at",
    "reviews": "reviewed_at",
    "shifts": "starts_at",
    "metric_observations": "observed_on",
    "vendor_totals": "observed_on",
}
# Tables whose rows may lie ahead. A flat visit export lists booked visits too; completed ones may not.
_PLANNED = frozenset({"appointments", "visits", "shifts", "other_costs"})
_REPLACES: Mapping[str, tuple[str, ...]] = {
    "ad_spend": ("source", "account", "report_level"),
    "visits": ("visit_id",),
    "visit_lines": ("visit_id",),
}
# Keys that the reader can make when the export has none, and the columns that they are made of.
MADE_IDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "other_costs": (
        "cost_id",
        ("channel", "source", "campaign", "starts_on", "ends_on"),
    ),
    "shifts": ("shift_id", ("resource", "doctor", "room", "starts_at")),
}
NUMBERED = frozenset({"visits", "visit_lines"})


@dataclass(frozen=True)
class Table:
    """What can be mapped onto one table: its stream, and config key -> landed column."""

    stream: Stream
    columns: Mapping[str, str]
    # Each group: at least one of these keys must be mapped or given by `defaults`.
    needed: tuple[tuple[str, ...], ...]
    is_reference: bool


def _table(name: str, declared: tuple[Column, ...], *, is_reference: bool) -> Table:
    columns = declared
    if name == "visits":
        present = {c.name for c in columns}
        columns = (*columns, *(c for c in _FLAT if c.name not in present))
    hidden = _FILLED | set(DERIVED.get(name, {}) if is_reference else ())
    if name in RAW_OF_STATUS:
        hidden = hidden | {"status_raw"}
    keys = {_PERSONAL_KEYS.get(c.name, c.name): c.name for c in columns if c.name not in hidden}
    if "birth_year" in keys:
        keys["birth_date"] = "birth_year"
    if not is_reference and name != "ad_spend":
        columns = (*columns, _CHANGED_AT)
        keys["changed_at"] = "changed_at"
    made = {MADE_IDS[name][0]} if name in MADE_IDS and not is_reference else set()
    if name in NUMBERED:
        made.add("line_id")
    needed: list[tuple[str, ...]] = [(c.name,) for c in columns if c.required and c.name not in made]
    if name == "visits":
        # A row that was only booked has no time of arrival; its planned time stands in.
        needed = [("visited_at", "scheduled_at") if group == ("visited_at",) else group for group in needed]
    if name == "ad_spend":
        needed.append(("source",))
    stream = Stream(
        name=name,
        description=(
            f"Reference table {name}, from the clinic's own export."
            if is_reference
            else f"{name.replace('_', ' ').capitalize()} from the clinic's own export, mapped in clinic.yaml."
        ),
        columns=columns,
        primary_key=_reference_key(columns) if is_reference else _KEYS[name],
        event_day=None if is_reference else _EVENT_DAYS.get(name),
        mode="snapshot" if is_reference else "report" if name == "ad_spend" else "entity",
        replaces=() if is_reference else _REPLACES.get(name, ()),
        version="changed_at" if "changed_at" in keys else None,
        may_be_future=name in _PLANNED,
    )
    return Table(stream, keys, tuple(needed), is_reference)


def _reference_key(columns: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(c.name for c in columns if c.required) or (columns[0].name,)


# A name that is both (shifts) is the conformed table, which keeps history; the reference file is a snapshot.
TABLES: Mapping[str, Table] = {
    **{name: _table(name, columns, is_reference=True) for name, columns in REFERENCES.items()},
    **{name: _table(name, columns, is_reference=False) for name, columns in INPUTS.items()},
}


def accepted_values(table: Table, column: str) -> tuple[str, ...]:
    """The values that a column may have; none said: any text."""
    if table.is_reference:
        return ACCEPTED.get((table.stream.name, column), ())
    return _ENUMS.get(column, ())
