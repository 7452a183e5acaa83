"""Parts that FHIR resources are made of: references, times, names, coded texts, money.

Format: HL7 FHIR R4 (hl7.org/fhir/R4), with the names that R5 gave some of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from connectors.contract import Column, Stream, end_of_day, local_to_utc
from connectors.errors import RowRefused

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
# Participation types (v3-ParticipationType), the one who performed the visit first.
_PERFORMERS = ("PPRF", "ATND", "SPRF")
# People who are not staff: their names are personal data even where an encounter lists them.
_STAFF = frozenset({"Practitioner", "PractitionerRole", ""})

# Every night asks again for what changed on the last two days: the server's clock may be a little behind.
RESTATED_DAYS = 2
LAST_UPDATED = Column("last_updated", "timestamp", "meta.lastUpdated: the server's version time.")
IS_DELETED = Column(
    "is_deleted", "boolean", "The server says that the resource was deleted; it has only an id."
)


def reference_columns(prefix: str, what: str) -> tuple[Column, ...]:
    """The two columns in which a reference to staff, a place or an organization lands."""
    return (
        Column(f"{prefix}_id", "text", f"Id of the {what}, from a literal reference."),
        Column(
            f"{prefix}_identifier",
            "text",
            f"`system|value` of the {what}, from a conditional reference or an identifier object.",
        ),
    )


Resource = Mapping[str, Any]


class Reference(NamedTuple):
    """A reference taken apart; the parts that it does not have are None or ""."""

    type: str
    id: str | None
    identifier: str | None
    display: str | None


def read_reference(value: object) -> Reference:
    """Take a FHIR Reference apart, literal, conditional or logical (hl7.org/fhir/R4/references.html)."""
    if not isinstance(value, dict):
        return Reference("", None, None, None)
    display = text_of(value.get("display"))
    named = text_of(value.get("type")) or ""
    identifier = identifier_of(value.get("identifier"))
    literal = text_of(value.get("reference"))
    if literal is None:
        return Reference(named.rpartition("/")[2], None, identifier, display)
    if literal.startswith("#"):
        return Reference(named, None, identifier, display)  # contained in the resource itself
    if literal.startswith("urn:"):
        return Reference(named, literal.rpartition(":")[2], identifier, display)
    address, _, query = literal.partition("?")
    if query:
        conditional = next(
            (
                unquote(given)
                for key, _, given in (part.partition("=") for part in query.split("&"))
                if key == "identifier" and given
            ),
            None,
        )
        return Reference(address.rpartition("/")[2] or named, None, conditional or identifier, display)
    # Absolute addresses and versions: …/fhir/Practitioner/12/_history/3
    parts = address.partition("/_history/")[0].rstrip("/").split("/")
    if len(parts) < 2:
        return Reference(named, parts[-1] or None, identifier, display)
    return Reference(parts[-2], parts[-1], identifier, display)


def identifier_of(value: object) -> str | None:
    """`system|value`, as a search parameter writes it; None without a value."""
    if not isinstance(value, dict) or (text := text_of(value.get("value"))) is None:
        return None
    return f"{text_of(value.get('system')) or ''}|{text}"


def identifiers_of(resource: Resource) -> list[str] | None:
    """`system|value` of every identifier; None without any."""
    return [
        text for item in items_of(resource, "identifier") if (text := identifier_of(item)) is not None
    ] or None


def items_of(resource: object, name: str) -> list[Any]:
    """What a member holds, as a list: R4 and R5 differ in whether some repeat."""
    value = resource.get(name) if isinstance(resource, dict) else None
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def text_of(value: object) -> str | None:
    """A text, trimmed; None for an empty one and for anything else."""
    return (value.strip() or None) if isinstance(value, str) else None


def codings_of(concept: object) -> list[dict[str, Any]]:
    """The codings of a CodeableConcept."""
    return [coding for coding in items_of(concept, "coding") if isinstance(coding, dict)]


def label_of(concepts: list[Any]) -> str | None:
    """The text of the first concept that has one, else a coding's display."""
    for concept in concepts:
        if not isinstance(concept, dict):
            continue
        for text in (concept.get("text"), *(coding.get("display") for coding in codings_of(concept))):
            if (found := text_of(text)) is not None:
                return found
    return None


def has_code(concept: object, code: str) -> bool:
    """Whether one of a CodeableConcept's codings has the code."""
    return any(coding.get("code") == code for coding in codings_of(concept))


def read_time(value: object, column: str, zone: ZoneInfo) -> datetime | None:
    """A FHIR dateTime or instant; a day without a time is the end of that local day.

    Raises RowRefused for a year or a month alone, which is no moment, and for anything else.
    """
    text = text_of(value)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RowRefused(column, "is not a full FHIR date and time") from None
    if DAY.fullmatch(text):
        return end_of_day(moment.date(), zone)
    return moment if moment.tzinfo is not None else local_to_utc(moment, zone)


def person_name(names: list[Any]) -> str | None:
    """A HumanName as it is printed: the official or usual one, not an old one."""
    ranked = sorted(
        (name for name in names if isinstance(name, dict) and name.get("use") != "old"),
        key=lambda name: {"official": 0, "usual": 1}.get(name.get("use", ""), 2),
    )
    for name in ranked:
        parts = [
            *items_of(name, "prefix"),
            *items_of(name, "given"),
            name.get("family"),
            *items_of(name, "suffix"),
        ]
        built = " ".join(text for part in parts if (text := text_of(part)) is not None)
        if (text := text_of(name.get("text")) or built) != "":
            return text
    return None


def telecoms_of(holders: list[Any], systems: frozenset[str]) -> list[str]:
    """Values of the contact points of those systems, raw."""
    return [
        text
        for holder in holders
        for point in items_of(holder, "telecom")
        if isinstance(point, dict) and point.get("system") in systems
        if (text := text_of(point.get("value"))) is not None
    ]


PHONES, EMAILS = frozenset({"phone", "sms"}), frozenset({"email"})


def named(prefix: str, reference: Reference, *, name: bool = True) -> dict[str, Any]:
    """The landed columns of a reference; with `name`, its display text too."""
    values: dict[str, Any] = {f"{prefix}_id": reference.id, f"{prefix}_identifier": reference.identifier}
    if name:
        values[f"{prefix}_name"] = reference.display
    return values


def service_types(resource: Resource) -> list[Any]:
    """serviceType: a CodeableConcept in R4, a list of CodeableReference in R5."""
    return [item.get("concept", item) for item in items_of(resource, "serviceType") if isinstance(item, dict)]


def performer_of(participants: list[Any]) -> Reference:
    """Who performed the visit: by participation type, then by order; never a relative of the patient."""
    found: list[tuple[int, int, Reference]] = []
    for order, participant in enumerate(participants):
        if not isinstance(participant, dict):
            continue
        person = read_reference(participant.get("individual") or participant.get("actor"))
        if person.type not in _STAFF or (person.id is None and person.identifier is None and not person.type):
            continue
        kinds = items_of(participant, "type")
        rank = next(
            (i for i, code in enumerate(_PERFORMERS) if any(has_code(kind, code) for kind in kinds)),
            len(_PERFORMERS),
        )
        if not person.type and rank == len(_PERFORMERS):
            # Neither type nor role says that this is staff: the name may be a relative's.
            person = person._replace(display=None)
        found.append((rank, order, person))
    return min(found)[2] if found else Reference("", None, None, None)


class Money(NamedTuple):
    """An amount and its ISO 4217 currency; both None where there is no Money."""

    amount: Decimal | None
    currency: str | None


def money_of(value: object) -> Money:
    """A FHIR Money. Raises RowRefused for a value that is no number."""
    if not isinstance(value, dict) or value.get("value") is None:
        return Money(None, None)
    amount = value["value"]
    if isinstance(amount, bool) or not isinstance(amount, (int, Decimal)):
        raise RowRefused("amount", "is not an amount")
    return Money(Decimal(amount), text_of(value.get("currency")))


def require(values: Mapping[str, Any], *names: str) -> None:
    """Raises RowRefused for a column that a resource must fill, though a deletion does not."""
    for name in names:
        if values.get(name) is None:
            raise RowRefused(name, "is empty but required")


@dataclass(frozen=True)
class Kind:
    """A type of resource, its stream, and how one resource becomes rows of it.

    `line` is the rest of the key of a deletion's row, where a resource has a row per line.
    """

    resource_type: str
    stream: Stream
    rows: Callable[[Resource, ZoneInfo], list[dict[str, Any]]]
    line: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def single(cls, type_: str, stream: Stream, row: Callable[[Resource, ZoneInfo], dict[str, Any]]) -> Kind:
        """A type whose resources are one row each."""
        return cls(type_, stream, lambda resource, zone: [row(resource, zone)])
