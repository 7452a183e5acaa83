"""Patients, visits, bookings, staff and places of a FHIR server: streams, and what lands of a resource.

Patients' names, addresses, narratives and national numbers are never read; their phones and e-mails are
handed over to be hashed. Staff and place names are kept.
"""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

from connectors._fhir_parts import (
    DAY,
    EMAILS,
    IS_DELETED,
    LAST_UPDATED,
    PHONES,
    RESTATED_DAYS,
    Kind,
    Reference,
    Resource,
    codings_of,
    identifiers_of,
    items_of,
    label_of,
    named,
    performer_of,
    person_name,
    read_reference,
    read_time,
    reference_columns,
    require,
    service_types,
    telecoms_of,
    text_of,
)
from connectors.contract import Column, Stream
from connectors.errors import RowRefused

# Code systems of ICD-10 and its national editions; a reason coded otherwise (SNOMED) is no ICD chapter.
_ICD10 = re.compile(r"icd-?10|2\.16\.840\.1\.113883\.6\.(?:3|90)$", re.IGNORECASE)
_ICD10_CODE = re.compile(r"[A-Z][0-9][0-9A-Z]")
# R4 writes `finished`, R5 `completed`: the visit took place.
FINISHED = frozenset({"finished", "completed"})
# location-physical-type codes of what is a part of a site.
_ROOM_TYPES = frozenset({"wi", "wa", "lvl", "co", "ro", "bd", "ca", "area"})

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
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("patient_id",),
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)
ENCOUNTERS = Stream(
    name="encounters",
    description="Encounters of a FHIR export: visits, finished or not.",
    columns=(
        Column("encounter_id", "text", "Encounter.id.", required=True, record_id=True),
        Column("status", "text", "Encounter.status."),
        Column("class_code", "text", "Code of Encounter.class (AMB, VR, EMER, IMP, HH …)."),
        Column("period_start", "timestamp", "Start; NULL only where the encounter is not finished."),
        Column("period_end", "timestamp", "End."),
        Column("patient_id", "text", "Id of the patient.", record_id=True),
        Column("appointment_id", "text", "Id of the first appointment it fulfils.", record_id=True),
        *reference_columns("practitioner", "practitioner"),
        *reference_columns("practitioner_role", "practitioner's role"),
        Column("practitioner_name", "text", "The participant's display text."),
        *reference_columns("location", "location"),
        Column("location_name", "text", "The location's display text."),
        *reference_columns("organization", "service provider"),
        Column("organization_name", "text", "The service provider's display text."),
        Column("service", "text", "Display text of the first Encounter.type, else of serviceType."),
        Column("diagnosis", "text", "First three characters of the first ICD-10 reason."),
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("encounter_id",),
    event_day="period_start",
    version="last_updated",
    restatement_days=RESTATED_DAYS,
    # Planned encounters lie ahead; a finished one that does is refused below.
    may_be_future=True,
)
APPOINTMENTS = Stream(
    name="appointments",
    description="Appointments of a FHIR export. Status fulfilled ends the planning; it is no visit.",
    columns=(
        Column("appointment_id", "text", "Appointment.id.", required=True, record_id=True),
        Column("status", "text", "Appointment.status."),
        Column(
            "cancelation_code", "text", "First code of cancelationReason: pat…, prov…, maint, meds-inc, oth…"
        ),
        Column("booked_at", "timestamp", "created: when it was booked."),
        Column("booked_at_is_date", "boolean", "created has no time of day."),
        Column("scheduled_at", "timestamp", "start; NULL for a request without a slot."),
        Column("minutes", "integer", "minutesDuration, else from start to end."),
        Column("patient_id", "text", "Id of the first participant that is a Patient.", record_id=True),
        *reference_columns("practitioner", "practitioner"),
        *reference_columns("practitioner_role", "practitioner's role"),
        Column("practitioner_name", "text", "The participant's display text."),
        *reference_columns("location", "location"),
        Column("location_name", "text", "The location's display text."),
        Column("service", "text", "Display text of the first serviceType, else of appointmentType."),
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("appointment_id",),
    event_day="scheduled_at",
    version="last_updated",
    restatement_days=RESTATED_DAYS,
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
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("practitioner_id",),
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)
PRACTITIONER_ROLES = Stream(
    name="practitioner_roles",
    description="Which practitioner works where, and as what, in a FHIR export.",
    columns=(
        Column("role_id", "text", "PractitionerRole.id.", required=True),
        Column("identifiers", "text[]", "`system|value` of every identifier."),
        *reference_columns("practitioner", "practitioner"),
        Column("practitioner_name", "text", "The practitioner's display text."),
        *reference_columns("organization", "organization"),
        Column("specialty", "text", "Display text of the first specialty, else of the first code."),
        Column("is_active", "boolean", "PractitionerRole.active."),
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("role_id",),
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)
ORGANIZATIONS = Stream(
    name="organizations",
    description="Organizations of a FHIR export.",
    columns=(
        Column("organization_id", "text", "Organization.id.", required=True),
        Column("identifiers", "text[]", "`system|value` of every identifier."),
        Column("name", "text", "Organization.name."),
        *reference_columns("part_of", "organization above"),
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("organization_id",),
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)
LOCATIONS = Stream(
    name="locations",
    description="Places of a FHIR export: sites, and rooms and beds within them.",
    columns=(
        Column("location_id", "text", "Location.id.", required=True),
        Column("identifiers", "text[]", "`system|value` of every identifier."),
        Column("name", "text", "Location.name."),
        Column("is_room", "boolean", "physicalType says that it is a part of a site: a room, bed, ward …"),
        *reference_columns("part_of", "place above"),
        *reference_columns("organization", "managing organization"),
        LAST_UPDATED,
        IS_DELETED,
    ),
    primary_key=("location_id",),
    version="last_updated",
    restatement_days=RESTATED_DAYS,
)


def _patient(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    birth = text_of(resource.get("birthDate"))
    if birth is not None and not re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", birth):
        raise RowRefused("birth_year", "is not a FHIR date")
    replacement = next(
        (
            read_reference(link.get("other"))
            for link in items_of(resource, "link")
            if isinstance(link, dict) and link.get("type") == "replaced-by"
        ),
        None,
    )
    # A child's calls come from a parent, whom the record lists as a contact person.
    phones = telecoms_of([resource], PHONES) or telecoms_of(items_of(resource, "contact"), PHONES)
    return {
        "patient_id": text_of(resource.get("id")),
        "phone_keys": phones or None,
        "email_keys": telecoms_of([resource], EMAILS) or None,
        "birth_year": None if birth is None else int(birth[:4]),
        "sex": gender if (gender := resource.get("gender")) in ("female", "male") else None,
        "merged_into": None if replacement is None else replacement.id,
    }


def _encounter(resource: Resource, zone: ZoneInfo) -> dict[str, Any]:
    status = text_of(resource.get("status"))
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
    performer = performer_of(items_of(resource, "participant"))
    role = performer.type == "PractitionerRole"
    places = [place for place in items_of(resource, "location") if isinstance(place, dict)]
    current = (place for place in places if place.get("status") in ("active", "completed"))
    place = next(current, places[0] if places else {})
    appointments = items_of(resource, "appointment")
    values = {
        "encounter_id": text_of(resource.get("id")),
        "status": status,
        "class_code": _class_code(resource),
        "period_start": start,
        "period_end": read_time(period.get("end"), "period_end", zone),
        "patient_id": subject.id,
        "appointment_id": read_reference(appointments[0]).id if appointments else None,
        **named("practitioner_role" if role else "practitioner", performer, name=False),
        "practitioner_name": performer.display,
        **named("location", read_reference(place.get("location"))),
        **named("organization", read_reference(resource.get("serviceProvider"))),
        "service": label_of(items_of(resource, "type")) or label_of(service_types(resource)),
        "diagnosis": _diagnosis(resource),
    }
    require(values, "status", "patient_id")
    return values


def _class_code(resource: Resource) -> str | None:
    """R4: a Coding; R5: a list of CodeableConcept."""
    for item in items_of(resource, "class"):
        for coding in (item, *codings_of(item)):
            if isinstance(coding, dict) and (code := text_of(coding.get("code"))) is not None:
                return code
    return None


def _diagnosis(resource: Resource) -> str | None:
    """Three characters of the first reason that is coded in ICD-10."""
    for concept in items_of(resource, "reasonCode"):
        for coding in codings_of(concept):
            code = (text_of(coding.get("code")) or "").upper()[:3]
            if _ICD10.search(text_of(coding.get("system")) or "") and _ICD10_CODE.fullmatch(code):
                return code
    return None


def _appointment(resource: Resource, zone: ZoneInfo) -> dict[str, Any]:
    participants = [p for p in items_of(resource, "participant") if isinstance(p, dict)]
    actors = [read_reference(participant.get("actor")) for participant in participants]
    patients = [read_reference(resource.get("subject")), *actors]  # R5 names the patient as subject, too
    # A participant of no told type may be the patient, and its identifier a national number.
    told = [p for p, actor in zip(participants, actors, strict=True) if actor.type]
    performer = performer_of(told)
    role = performer.type == "PractitionerRole"
    place = next((actor for actor in actors if actor.type == "Location"), Reference("", None, None, None))
    start = read_time(resource.get("start"), "scheduled_at", zone)
    end = read_time(resource.get("end"), "scheduled_at", zone)
    minutes = resource.get("minutesDuration")
    if minutes is None and start is not None and end is not None and end > start:
        minutes = round((end - start).total_seconds() / 60)
    created = text_of(resource.get("created"))
    reasons = items_of(resource, "cancelationReason") + items_of(resource, "cancellationReason")
    values = {
        "appointment_id": text_of(resource.get("id")),
        "status": text_of(resource.get("status")),
        "cancelation_code": next(
            (code for reason in reasons for c in codings_of(reason) if (code := text_of(c.get("code")))), None
        ),
        "booked_at": read_time(created, "booked_at", zone),
        "booked_at_is_date": None if created is None else DAY.fullmatch(created) is not None,
        "scheduled_at": start,
        "minutes": minutes,
        "patient_id": next((patient.id for patient in patients if patient.type == "Patient"), None),
        **named("practitioner_role" if role else "practitioner", performer, name=False),
        "practitioner_name": performer.display,
        **named("location", place),
        "service": label_of(service_types(resource)) or label_of(items_of(resource, "appointmentType")),
    }
    require(values, "status")
    return values


def _practitioner(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    return {
        "practitioner_id": text_of(resource.get("id")),
        "identifiers": identifiers_of(resource),
        "name": person_name(items_of(resource, "name")),
        "is_active": resource.get("active"),
    }


def _practitioner_role(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    return {
        "role_id": text_of(resource.get("id")),
        "identifiers": identifiers_of(resource),
        **named("practitioner", read_reference(resource.get("practitioner"))),
        **named("organization", read_reference(resource.get("organization")), name=False),
        "specialty": label_of(items_of(resource, "specialty")) or label_of(items_of(resource, "code")),
        "is_active": resource.get("active"),
    }


def _organization(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    return {
        "organization_id": text_of(resource.get("id")),
        "identifiers": identifiers_of(resource),
        "name": text_of(resource.get("name")),
        **named("part_of", read_reference(resource.get("partOf")), name=False),
    }


def _location(resource: Resource, _zone: ZoneInfo) -> dict[str, Any]:
    kinds = {coding.get("code") for coding in codings_of(resource.get("physicalType"))}
    kinds |= {coding.get("code") for coding in codings_of(resource.get("form"))}  # R5
    return {
        "location_id": text_of(resource.get("id")),
        "identifiers": identifiers_of(resource),
        "name": text_of(resource.get("name")),
        "is_room": bool(kinds & _ROOM_TYPES),
        **named("part_of", read_reference(resource.get("partOf")), name=False),
        **named("organization", read_reference(resource.get("managingOrganization")), name=False),
    }


KINDS = tuple(
    Kind.single(type_, stream, values)
    for type_, stream, values in (
        ("Patient", PATIENTS, _patient),
        ("Encounter", ENCOUNTERS, _encounter),
        ("Appointment", APPOINTMENTS, _appointment),
        ("Practitioner", PRACTITIONERS, _practitioner),
        ("PractitionerRole", PRACTITIONER_ROLES, _practitioner_role),
        ("Organization", ORGANIZATIONS, _organization),
        ("Location", LOCATIONS, _location),
    )
)
