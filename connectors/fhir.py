"""FHIR R4 bulk export: Patient, Encounter, Practitioner, PractitionerRole, Organization, Location as NDJSON.

Format: HL7 FHIR R4 (hl7.org/fhir/R4) as written by the Bulk Data export, one resource a line; R5 names
that replace R4's (`actualPeriod`, class as a list, status `completed`) are read too. One stream per
resource type under `inbox/<source>/<stream>/`; resources of other types in a file are counted as skipped.

Patients' names, addresses, narratives and national numbers are never read; their phones and e-mails are
handed over to be hashed. Staff and place names are kept.

A reference to staff or a place may be literal (`Practitioner/12`), conditional
(`Practitioner?identifier=system|value`) or an identifier object without `reference`. All three land, as an
id or as `system|value`, and staging resolves them by joins: a join on ids alone would silently lose every
doctor of a server that writes the others. Patients are only known by `Patient/<id>`: an identifier of a
person may be a national number, and such an encounter is quarantined.

    python -m connectors.fhir --stream encounters Encounter.000.ndjson
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from connectors import cli
from connectors.contract import (
    Column,
    Connector,
    ReadLog,
    Row,
    SourceOptions,
    Stream,
    end_of_day,
    local_to_utc,
)
from connectors.errors import FileRefused, RowRefused
from connectors.files import InboxFile

# Code systems of ICD-10 and its national editions; a reason coded otherwise (SNOMED) is no ICD chapter.
_ICD10 = re.compile(r"icd-?10|2\.16\.840\.1\.113883\.6\.(?:3|90)$", re.IGNORECASE)
_ICD10_CODE = re.compile(r"[A-Z][0-9][0-9A-Z]")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
# Participation types (v3-ParticipationType), the one who performed the visit first.
_PERFORMERS = ("PPRF", "ATND", "SPRF")
# location-physical-type codes of what is a part of a site.
_ROOM_TYPES = frozenset({"wi", "wa", "lvl", "co", "ro", "bd", "ca", "area"})
# People who are not staff: their names are personal data even where an encounter lists them.
_STAFF = frozenset({"Practitioner", "PractitionerRole", ""})


def _reference_columns(prefix: str, what: str) -> tuple[Column, ...]:
    return (
        Column(f"{prefix}_id", "text", f"Id of the {what}, from a literal reference."),
        Column(
            f"{prefix}_identifier",
            "text",
            f"`system|value` of the {what}, from a conditional reference or an identifier object.",
        ),
    )


_LAST_UPDATED = Column("last_updated", "timestamp", "meta.lastUpdated: the server's version time.")

PATIENTS = Stream(
    name="patients",
    description="Patients of a FHIR export, without names and addresses.",
    columns=(
        Column("patient_id", "text", "Patient.id.", required=True, record_id=True),
        Column(
            "phone_keys",
            "text[]",
            "Keyed hashes of the patient's numbers; of the contact persons' where the patient has none.",
            personal="phone",
        ),
        Column("email_keys", "text[]", "Keyed hashes of the addresses.", personal="email"),
        Column("birth_year", "integer", "Year of birthDate."),
        Column("sex", "text", "female or male; NULL for other and unknown."),
        Column("merged_into", "text", "The patient that a link of type replaced-by names.", record_id=True),
        _LAST_UPDATED,
    ),
    primary_key=("patient_id",),
    version="last_updated",
)
ENCOUNTERS = Stream(
    name="encounters",
    description="Encounters of a FHIR export: visits, finished or not.",
    columns=(
        Column("encounter_id", "text", "Encounter.id.", required=True, record_id=True),
        Column("status", "text", "Encounter.status.", required=True),
        Column("class_code", "text", "Code of Encounter.class (AMB, VR, EMER, IMP, HH …)."),
        Column("period_start", "timestamp", "Start; NULL only where the encounter is not finished."),
        Column("period_end", "timestamp", "End."),
        Column("patient_id", "text", "Id of the patient.", required=True, record_id=True),
        Column("appointment_id", "text", "Id of the first appointment it fulfils.", record_id=True),
        *_reference_columns("practitioner", "practitioner"),
        *_reference_columns("practitioner_role", "practitioner's role"),
        Column("practitioner_name", "text", "The participant's display text."),
        *_reference_columns("location", "location"),
        Column("location_name", "text", "The location's display text."),
        *_reference_columns("organization", "service provider"),
        Column("organization_name", "text", "The service provider's display text."),
        Column("service", "text", "Display text of the first Encounter.type, else of serviceType."),
        Column("diagnosis", "text", "First three characters of the first ICD-10 reason."),
        _LAST_UPDATED,
    ),
    primary_key=("encounter_id",),
    event_day="period_start",
    version="last_updated",
    # Planned encounters lie ahead; a finished one that does is refused below.
    may_be_future=True,
)
PRACTITIONERS = Stream(
    name="practitioners",
    description="Doctors and other staff of a FHIR export.",
    columns=(
        Column("practitioner_id", "text", "Practitioner.id.", required=True),
        Column("identifiers", "text[]", "`system|value` of every identifier."),
        Column("name", "text", "Prefix, given and family name, or the text of the name."),
        Column("is_active", "boolean", "Practitioner.active."),
        _LAST_UPDATED,
    ),
    primary_key=("practitioner_id",),
    version="last_updated",
)
PRACTITIONER_ROLES = Stream(
    name="practitioner_roles",
    description="Which practitioner works where, and as what, in a FHIR export.",
    columns=(
        Column("role_id", "text", "PractitionerRole.id.", required=True),
        Column("identifiers", "text[]", "`system|value` of every identifier."),
        *_reference_columns("practitioner", "practitioner"),
        Column("practitioner_name", "text", "The practitioner's display text."),
        *_reference_columns("organization", "organization"),
        Column("specialty", "text", "Display text of the first specialty, else of the first code."),
        Column("is_active", "boolean", "PractitionerRole.active."),
        _LAST_UPDATED,
    ),
    primary_key=("role_id",),
    version="last_updated",
)
ORGANIZATIONS = Stream(
    name="organizations",
    description="Organizations of a FHIR export.",
    columns=(
        Column("organization_id", "text", "Organization.id.", required=True),
        Column("identifiers", "text[]", "`system|value` of every identifier."),
        Column("name", "text", "Organization.name."),
        *_reference_columns("part_of", "organization above"),
        _LAST_UPDATED,
    ),
    primary_key=("organization_id",),
    version="last_updated",
)
LOCATIONS = Stream(
    name="locations",
    description="Places of a FHIR export: sites, and rooms and beds within them.",
    columns=(
        Column("location_id", "text", "Location.id.", required=True),
        Column("identifiers", "text[]", "`system|value` of every identifier."),
        Column("name", "text", "Location.name."),
        Column("is_room", "boolean", "physicalType says that it is a part of a site: a room, bed, ward …"),
        *_reference_columns("part_of", "place above"),
        *_reference_columns("organization", "managing organization"),
        _LAST_UPDATED,
    ),
    primary_key=("location_id",),
    version="last_updated",
)


class FhirOptions(SourceOptions):
    """A source of kind `fhir`. `timezone` is that of days without a time and of times without an offset."""

    kind: Literal["fhir"] = "fhir"


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
    display = _text(value.get("display"))
    named = _text(value.get("type")) or ""
    identifier = _identifier(value.get("identifier"))
    literal = _text(value.get("reference"))
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


def _identifier(value: object) -> str | None:
    """`system|value`, as a search parameter writes it; None without a value."""
    if not isinstance(value, dict) or (text := _text(value.get("value"))) is None:
        return None
    return f"{_text(value.get('system')) or ''}|{text}"


def _identifiers(resource: Resource) -> list[str] | None:
    return [text for item in _list(resource, "identifier") if (text := _identifier(item)) is not None] or None


def _list(resource: object, name: str) -> list[Any]:
    value = resource.get(name) if isinstance(resource, dict) else None
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None


def _codings(concept: object) -> list[dict[str, Any]]:
    return [coding for coding in _list(concept, "coding") if isinstance(coding, dict)]


def _label(concepts: list[Any]) -> str | None:
    """The text of the first concept that has one, else a coding's display."""
    for concept in concepts:
        if not isinstance(concept, dict):
            continue
        for text in (concept.get("text"), *(coding.get("display") for coding in _codings(concept))):
            if (found := _text(text)) is not None:
                return found
    return None


def _has_code(concept: object, code: str) -> bool:
    return any(coding.get("code") == code for coding in _codings(concept))


def read_time(value: object, column: str, zone: ZoneInfo) -> datetime | None:
    """A FHIR dateTime or instant; a day without a time is the end of that local day.

    Raises RowRefused for a year or a month alone, which is no moment, and for anything else.
    """
    text = _text(value)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RowRefused(column, "is not a full FHIR date and time") from None
    if _DAY.fullmatch(text):
        return end_of_day(moment.date(), zone)
    return moment if moment.tzinfo is not None else local_to_utc(moment, zone)


def person_name(names: list[Any]) -> str | None:
    """A HumanName as it is printed: the official or usual one, not an old one."""
    ranked = sorted(
        (name for name in names if isinstance(name, dict) and name.get("use") != "old"),
        key=lambda name: {"official": 0, "usual": 1}.get(name.get("use", ""), 2),
    )
    for name in ranked:
        parts = [*_list(name, "prefix"), *_list(name, "given"), name.get("family"), *_list(name, "suffix")]
        built = " ".join(text for part in parts if (text := _text(part)) is not None)
        if (text := _text(name.get("text")) or built) != "":
            return text
    return None


def _telecoms(holders: list[Any], systems: frozenset[str]) -> list[str]:
    return [
        text
        for holder in holders
        for point in _list(holder, "telecom")
        if isinstance(point, dict) and point.get("system") in systems
        if (text := _text(point.get("value"))) is not None
    ]


_PHONES, _EMAILS = frozenset({"phone", "sms"}), frozenset({"email"})


def _named(prefix: str, reference: Reference, *, name: bool = True) -> dict[str, Any]:
    values: dict[str, Any] = {f"{prefix}_id": reference.id, f"{prefix}_identifier": reference.identifier}
    if name:
        values[f"{prefix}_name"] = reference.display
    return values


def _patient(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    birth = _text(resource.get("birthDate"))
    if birth is not None and not re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", birth):
        raise RowRefused("birth_year", "is not a FHIR date")
    replacement = next(
        (
            read_reference(link.get("other"))
            for link in _list(resource, "link")
            if isinstance(link, dict) and link.get("type") == "replaced-by"
        ),
        None,
    )
    # A child's calls come from a parent, whom the record lists as a contact person.
    phones = _telecoms([resource], _PHONES) or _telecoms(_list(resource, "contact"), _PHONES)
    return {
        "patient_id": _text(resource.get("id")),
        "phone_keys": phones or None,
        "email_keys": _telecoms([resource], _EMAILS) or None,
        "birth_year": None if birth is None else int(birth[:4]),
        "sex": gender if (gender := resource.get("gender")) in ("female", "male") else None,
        "merged_into": None if replacement is None else replacement.id,
    }


def _encounter(resource: Resource, zone: ZoneInfo) -> dict[str, Any]:
    status = _text(resource.get("status"))
    period = resource.get("period") or resource.get("actualPeriod") or {}
    start = read_time(period.get("start"), "period_start", zone)
    if start is None and status in FINISHED:
        raise RowRefused("period_start", "is empty on a finished encounter")
    subject = read_reference(resource.get("subject"))
    if subject.type not in ("Patient", ""):
        raise RowRefused("patient_id", "the subject is not a Patient")
    if subject.id is None and subject.identifier is not None:
        # It may be a national number, which is not to land; bulk exports refer to patients by id.
        raise RowRefused("patient_id", "the patient is named by an identifier, not by Patient/<id>")
    performer = _performer(_list(resource, "participant"))
    role = performer.type == "PractitionerRole"
    places = [place for place in _list(resource, "location") if isinstance(place, dict)]
    current = (place for place in places if place.get("status") in ("active", "completed"))
    place = next(current, places[0] if places else {})
    appointments = _list(resource, "appointment")
    return {
        "encounter_id": _text(resource.get("id")),
        "status": status,
        "class_code": _class_code(resource),
        "period_start": start,
        "period_end": read_time(period.get("end"), "period_end", zone),
        "patient_id": subject.id,
        "appointment_id": read_reference(appointments[0]).id if appointments else None,
        **_named("practitioner_role" if role else "practitioner", performer, name=False),
        "practitioner_name": performer.display,
        **_named("location", read_reference(place.get("location"))),
        **_named("organization", read_reference(resource.get("serviceProvider"))),
        "service": _label(_list(resource, "type")) or _label(_service_types(resource)),
        "diagnosis": _diagnosis(resource),
    }


# R4 writes `finished`, R5 `completed`: the visit took place.
FINISHED = frozenset({"finished", "completed"})


def _class_code(resource: Resource) -> str | None:
    """R4: a Coding; R5: a list of CodeableConcept."""
    for item in _list(resource, "class"):
        for coding in (item, *_codings(item)):
            if isinstance(coding, dict) and (code := _text(coding.get("code"))) is not None:
                return code
    return None


def _service_types(resource: Resource) -> list[Any]:
    """serviceType: a CodeableConcept in R4, a list of CodeableReference in R5."""
    return [item.get("concept", item) for item in _list(resource, "serviceType") if isinstance(item, dict)]


def _performer(participants: list[Any]) -> Reference:
    """Who performed the visit: by participation type, then by order; never a relative of the patient."""
    found: list[tuple[int, int, Reference]] = []
    for order, participant in enumerate(participants):
        if not isinstance(participant, dict):
            continue
        person = read_reference(participant.get("individual") or participant.get("actor"))
        if person.type not in _STAFF or (person.id is None and person.identifier is None and not person.type):
            continue
        kinds = _list(participant, "type")
        rank = next(
            (i for i, code in enumerate(_PERFORMERS) if any(_has_code(kind, code) for kind in kinds)),
            len(_PERFORMERS),
        )
        if not person.type and rank == len(_PERFORMERS):
            # Neither type nor role says that this is staff: the name may be a relative's.
            person = person._replace(display=None)
        found.append((rank, order, person))
    return min(found)[2] if found else Reference("", None, None, None)


def _diagnosis(resource: Resource) -> str | None:
    """Three characters of the first reason that is coded in ICD-10."""
    for concept in _list(resource, "reasonCode"):
        for coding in _codings(concept):
            code = (_text(coding.get("code")) or "").upper()[:3]
            if _ICD10.search(_text(coding.get("system")) or "") and _ICD10_CODE.fullmatch(code):
                return code
    return None


def _practitioner(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    return {
        "practitioner_id": _text(resource.get("id")),
        "identifiers": _identifiers(resource),
        "name": person_name(_list(resource, "name")),
        "is_active": resource.get("active"),
    }


def _practitioner_role(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    return {
        "role_id": _text(resource.get("id")),
        "identifiers": _identifiers(resource),
        **_named("practitioner", read_reference(resource.get("practitioner"))),
        **_named("organization", read_reference(resource.get("organization")), name=False),
        "specialty": _label(_list(resource, "specialty")) or _label(_list(resource, "code")),
        "is_active": resource.get("active"),
    }


def _organization(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    return {
        "organization_id": _text(resource.get("id")),
        "identifiers": _identifiers(resource),
        "name": _text(resource.get("name")),
        **_named("part_of", read_reference(resource.get("partOf")), name=False),
    }


def _location(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    kinds = {coding.get("code") for coding in _codings(resource.get("physicalType"))}
    kinds |= {coding.get("code") for coding in _codings(resource.get("form"))}  # R5
    return {
        "location_id": _text(resource.get("id")),
        "identifiers": _identifiers(resource),
        "name": _text(resource.get("name")),
        "is_room": bool(kinds & _ROOM_TYPES),
        **_named("part_of", read_reference(resource.get("partOf")), name=False),
        **_named("organization", read_reference(resource.get("managingOrganization")), name=False),
    }


@dataclass(frozen=True)
class _Kind:
    resource_type: str
    stream: Stream
    values: Callable[[Resource, ZoneInfo], dict[str, Any]]


_KINDS = {
    kind.stream.name: kind
    for kind in (
        _Kind("Patient", PATIENTS, _patient),
        _Kind("Encounter", ENCOUNTERS, _encounter),
        _Kind("Practitioner", PRACTITIONERS, _practitioner),
        _Kind("PractitionerRole", PRACTITIONER_ROLES, _practitioner_role),
        _Kind("Organization", ORGANIZATIONS, _organization),
        _Kind("Location", LOCATIONS, _location),
    )
}


class Fhir(Connector[FhirOptions]):
    """FHIR R4 bulk export files."""

    kind: ClassVar[str] = "fhir"
    title: ClassVar[str] = "FHIR R4 bulk export"
    options: ClassVar[type[SourceOptions]] = FhirOptions
    feeds: ClassVar[tuple[str, ...]] = ("visits", "visit_lines", "patients")

    def streams(self, source: FhirOptions) -> tuple[Stream, ...]:
        """One stream per resource type."""
        return tuple(kind.stream for kind in _KINDS.values())

    def read(self, file: InboxFile, stream: Stream, source: FhirOptions, log: ReadLog) -> Iterator[Row]:
        """Yield one row per resource of the stream's type.

        Raises FileRefused when a line is not JSON, or the file has only resources of other types.
        """
        kind = _KINDS[stream.name]
        zone = source.zone
        horizon = file.arrived_at
        rows = 0
        others: dict[str, int] = {}
        for number, resource in file.json_lines():
            type_ = resource.get("resourceType")
            if type_ != kind.resource_type:
                name = type_ if isinstance(type_, str) and type_.isalpha() else "none"
                others[name] = others.get(name, 0) + 1
                log.skip(f"resource of type {name[:40]}")
                continue
            rows += 1
            try:
                values = kind.values(resource, zone)
                meta = resource.get("meta")
                values["last_updated"] = read_time(
                    meta.get("lastUpdated") if isinstance(meta, dict) else None, "last_updated", zone
                )
                if values.get("status") in FINISHED:
                    _refuse_future(values["period_start"], horizon)
            except RowRefused as error:
                own_id = {stream.primary_key[0]: _text(resource.get("id"))}
                yield Row(number, own_id, (error.column, error.reason))
            else:
                yield Row(number, values)
        if not rows:
            self._refuse(file, kind, others)

    def _refuse(self, file: InboxFile, kind: _Kind, others: dict[str, int]) -> None:
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
