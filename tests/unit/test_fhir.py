"""FHIR R4 bulk export."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import _fhir_clinical
from connectors._fhir_billing import KINDS
from connectors._fhir_parts import Reference, person_name, read_reference, read_time
from connectors.check import check
from connectors.contract import ReadLog
from connectors.errors import FileRefused, RowRefused
from connectors.fhir import CONNECTOR, FhirOptions
from connectors.files import InboxFile
from connectors.privacy import Privacy

ARRIVED = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRIVACY = Privacy(b"a key of the tests, 32 bytes long", "US")
ZAGREB = ZoneInfo("Europe/Zagreb")
SOURCE = FhirOptions(
    name="emr", clinic_timezone="Europe/Zagreb", clinic_currency="EUR", clinic_phone_region="US"
)
KINDS_OF_ALL = (*_fhir_clinical.KINDS, *KINDS)
STREAMS = {stream.name: stream for stream in CONNECTOR.streams(SOURCE)}


def read(path: Path, stream: str) -> tuple[list[dict[str, Any]], list[tuple[str, str]], ReadLog]:
    """Rows that landed, (column, reason) of those that did not, and the log."""
    log, rows, refused = ReadLog(), [], []
    raw = CONNECTOR.read(InboxFile(path), STREAMS[stream], SOURCE, log)
    for checked in check(raw, STREAMS[stream], PRIVACY, log, arrived_at=InboxFile(path).arrived_at):
        rows += checked.batch.to_pylist()
        refused += [(q.column, q.reason) for q in checked.quarantined]
        assert checked.rows_read == checked.batch.num_rows + len(checked.quarantined)
    return rows, refused, log


def write(tmp_path: Path, *resources: dict[str, Any]) -> Path:
    path = tmp_path / "export.ndjson"
    path.write_text("".join(json.dumps(resource) + "\n" for resource in resources), encoding="utf-8")
    os.utime(path, (ARRIVED.timestamp(), ARRIVED.timestamp()))
    return path


def encounter(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/p1", "display": "Mrs. Ana Horvat"},
        "period": {"start": "2026-01-10T09:30:00+01:00", "end": "2026-01-10T10:00:00+01:00"},
        **more,
    }


def one(tmp_path: Path, stream: str, resource: dict[str, Any]) -> dict[str, Any]:
    rows, refused, _ = read(write(tmp_path, resource), stream)
    assert refused == []
    return rows[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"reference": "Practitioner/12"}, Reference("Practitioner", "12", None, None)),
        (
            {"reference": "https://emr.example/fhir/Practitioner/12/_history/3", "display": "Dr. A"},
            Reference("Practitioner", "12", None, "Dr. A"),
        ),
        (
            {"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999974493"},
            Reference("Practitioner", None, "http://hl7.org/fhir/sid/us-npi|9999974493", None),
        ),
        (
            {"reference": "Location?identifier=urn%3Aours%7C7&_sort=x"},
            Reference("Location", None, "urn:ours|7", None),
        ),
        (
            {"identifier": {"system": "npi", "value": "7"}, "type": "Practitioner"},
            Reference("Practitioner", None, "npi|7", None),
        ),
        ({"identifier": {"value": "7"}}, Reference("", None, "|7", None)),
        ({"reference": "urn:uuid:3edac2e3"}, Reference("", "3edac2e3", None, None)),
        ({"reference": "#contained", "display": "x"}, Reference("", None, None, "x")),
        ({"display": "only a name"}, Reference("", None, None, "only a name")),
        (None, Reference("", None, None, None)),
        ("Practitioner/12", Reference("", None, None, None)),
    ],
)
def test_references_of_all_forms(value: object, expected: Reference) -> None:
    assert read_reference(value) == expected


def test_times_keep_their_offset_and_a_day_alone_is_its_local_end() -> None:
    assert read_time("2026-01-10T23:30:00-05:00", "x", ZAGREB) == datetime(2026, 1, 11, 4, 30, tzinfo=UTC)
    assert read_time("2026-01-10T23:30:00.123Z", "x", ZAGREB) == datetime(
        2026, 1, 10, 23, 30, 0, 123000, tzinfo=UTC
    )
    assert read_time("2026-07-10", "x", ZAGREB) == datetime(2026, 7, 10, 21, 59, 59, 999999, tzinfo=UTC)
    assert read_time(None, "x", ZAGREB) is None
    for text in ("2026", "2026-07", "yesterday", "2026-13-01"):
        with pytest.raises(RowRefused):
            read_time(text, "x", ZAGREB)


@given(st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1), timezones=st.timezones()))
def test_any_instant_is_read_back(moment: datetime) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    if offset.seconds % 60:
        return  # FHIR writes offsets in whole minutes; local mean times of the 1900s have seconds
    found = read_time(moment.isoformat(), "x", ZAGREB)
    assert found is not None
    assert found.astimezone(UTC) == moment.astimezone(UTC)


def test_a_name_is_the_official_one_and_never_an_old_one() -> None:
    old = {"use": "old", "family": "Ban"}
    nick = {"use": "nickname", "text": "Iva"}
    official = {"use": "official", "prefix": ["Dr."], "given": ["Ivana", "M."], "family": "Horvat"}
    assert person_name([old, nick, official]) == "Dr. Ivana M. Horvat"
    assert person_name([old, nick]) == "Iva"
    assert person_name([old, {"use": "official"}]) is None


def test_a_patient_lands_without_name_address_and_national_number(tmp_path: Path) -> None:
    resource = {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {"lastUpdated": "2026-02-01T10:00:00Z"},
        "text": {"div": "<div>Ana Horvat</div>"},
        "name": [{"family": "Horvat"}],
        "birthDate": "1980-05-17",
        "gender": "female",
        "address": [{"line": ["Ilica 1"]}],
        "identifier": [{"type": {"coding": [{"code": "SS"}]}, "value": "999-94-5397"}],
        "telecom": [
            {"system": "phone", "value": "555-620-2011", "use": "home"},
            {"system": "sms", "value": "+1 785 587 7305"},
            {"system": "email", "value": "Ana@Example.com"},
            {"system": "url", "value": "https://ana.example"},
        ],
        "contact": [{"telecom": [{"system": "phone", "value": "+1 785 587 9999"}]}],
        "link": [
            {"type": "seealso", "other": {"reference": "Patient/p5"}},
            {"type": "replaced-by", "other": {"reference": "Patient/p2"}},
        ],
    }
    assert one(tmp_path, "patients", resource) == {
        "patient_id": "p1",
        "phone_keys": [PRIVACY.phone_key("555-620-2011"), PRIVACY.phone_key("+17855877305")],
        "email_keys": [PRIVACY.email_key("ana@example.com")],
        "birth_year": 1980,
        "sex": "female",
        "merged_into": "p2",
        "last_updated": datetime(2026, 2, 1, 10, tzinfo=UTC),
        "is_deleted": None,
        "_row_number": 1,
    }
    assert STREAMS["patients"].version == "last_updated"


def test_a_child_without_a_number_is_reached_by_its_contact_person(tmp_path: Path) -> None:
    resource = {
        "resourceType": "Patient",
        "id": "p1",
        "gender": "unknown",
        "birthDate": "2020-05",
        "contact": [
            {"name": {"family": "Horvat"}, "telecom": [{"system": "phone", "value": "+17855877305"}]}
        ],
    }
    row = one(tmp_path, "patients", resource)
    assert row["phone_keys"] == [PRIVACY.phone_key("+17855877305")]
    assert (row["birth_year"], row["sex"]) == (2020, None)


def test_who_performed_the_visit_is_staff_never_a_relative(tmp_path: Path) -> None:
    def participant(code: str, reference: dict[str, Any]) -> dict[str, Any]:
        return {"type": [{"coding": [{"code": code}]}], "individual": reference}

    relative = participant("ESC", {"reference": "RelatedPerson/r1", "display": "Marko Horvat"})
    nurse = participant("SPRF", {"reference": "Practitioner/n1", "display": "Nurse"})
    doctor = participant("PPRF", {"identifier": {"system": "npi", "value": "7"}, "display": "Dr. A"})
    role = participant("ATND", {"reference": "PractitionerRole/x", "display": "Dr. A, ENT"})
    untold = {"individual": {"identifier": {"value": "1"}, "display": "Marko Horvat"}}

    def performed(*participants: dict[str, Any]) -> tuple[Any, ...]:
        row = one(tmp_path, "encounters", encounter(participant=list(participants)))
        return (
            row["practitioner_id"],
            row["practitioner_identifier"],
            row["practitioner_role_id"],
            row["practitioner_name"],
        )

    assert performed(relative, nurse, doctor) == (None, "npi|7", None, "Dr. A")
    assert performed(relative, nurse, role) == (None, None, "x", "Dr. A, ENT")
    assert performed(relative) == (None, None, None, None)
    assert performed(untold) == (None, "|1", None, None)


def test_only_icd_10_reasons_are_a_diagnosis(tmp_path: Path) -> None:
    def diagnosis(*codings: dict[str, str]) -> Any:
        return one(tmp_path, "encounters", encounter(reasonCode=[{"coding": list(codings)}]))["diagnosis"]

    snomed = {"system": "http://snomed.info/sct", "code": "A46177005"}
    assert diagnosis(snomed) is None
    assert diagnosis(snomed, {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "j35.01"}) == "J35"
    assert diagnosis({"system": "http://hl7.org/fhir/sid/icd-10", "code": "J3"}) is None
    assert diagnosis({"system": "http://hl7.org/fhir/sid/icd-9-cm", "code": "V20.2"}) is None


def test_r5_names_are_read_too(tmp_path: Path) -> None:
    resource = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "class": [{"coding": [{"code": "IMP"}]}],
        "actualPeriod": {"start": "2026-01-10T09:30:00Z"},
        "serviceType": [{"concept": {"text": "Tonsillectomy"}}],
        "participant": [{"actor": {"reference": "Practitioner/12"}}],
    }
    row = one(tmp_path, "encounters", resource)
    assert (row["class_code"], row["service"], row["practitioner_id"]) == ("IMP", "Tonsillectomy", "12")
    assert row["period_start"] == datetime(2026, 1, 10, 9, 30, tzinfo=UTC)


def test_encounters_that_cannot_be_used_are_quarantined_with_their_id(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        encounter(period={}),
        encounter(id="e2", status="planned", period={}),
        encounter(id="e3", period={"start": "2026-03-10T09:30:00Z"}),
        encounter(id="e4", status="planned", period={"start": "2026-03-10T09:30:00Z"}),
        encounter(id="e5", subject={"reference": "Group/g1"}),
        encounter(
            id="e6", subject={"reference": "Patient?identifier=http://hl7.org/fhir/sid/us-ssn|999-94-5397"}
        ),
        encounter(id="e7", subject=None),
        encounter(id="e8", period={"start": "2026"}),
        encounter(id="e9", status=None),
    )
    rows, refused, _ = read(path, "encounters")
    assert [row["encounter_id"] for row in rows] == ["e2", "e4"]
    assert refused == [
        ("period_start", "is empty on a finished encounter"),
        ("period_start", "lies in the future of the file, yet the encounter is finished"),
        ("patient_id", "the subject is not a Patient"),
        ("patient_id", "the patient is named by an identifier, not by Patient/<id>"),
        ("patient_id", "is empty but required"),
        ("period_start", "is not a full FHIR date and time"),
        ("status", "is empty but required"),
    ]


def test_a_room_is_told_from_a_site(tmp_path: Path) -> None:
    room = {
        "resourceType": "Location",
        "id": "l1",
        "name": "Room 3",
        "partOf": {"reference": "Location/site"},
        "physicalType": {"coding": [{"code": "ro"}]},
        "telecom": [{"system": "phone", "value": "1"}],
    }
    row = one(tmp_path, "locations", room)
    assert (row["is_room"], row["part_of_id"], row["name"]) == (True, "site", "Room 3")
    assert one(tmp_path, "locations", {"resourceType": "Location", "id": "l2"})["is_room"] is False


def test_a_file_in_the_wrong_folder_is_refused_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, encounter(), {"resourceType": "OperationOutcome"}, encounter(id="e2"))
    with pytest.raises(FileRefused, match="holds no Patient, but Encounter; move it to the folder enc"):
        read(path, "patients")
    rows, _, log = read(path, "encounters")
    assert len(rows) == 2
    assert log.skipped == {"resource of type OperationOutcome": 1}


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="is empty"):
        read(write(tmp_path), "patients")
    path = tmp_path / "cut.ndjson"
    path.write_text(json.dumps(encounter()) + "\n" + json.dumps(encounter())[:50])
    with pytest.raises(FileRefused, match="line 2 is not JSON"):
        read(path, "encounters")


def appointment(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Appointment",
        "id": "a1",
        "status": "booked",
        "created": "2026-01-05T12:00:00+01:00",
        "start": "2026-01-10T09:30:00+01:00",
        "end": "2026-01-10T10:15:00+01:00",
        "participant": [
            {"actor": {"reference": "Patient/p1", "display": "Ana Horvat"}},
            {"actor": {"reference": "Practitioner/d1", "display": "Dr. A"}},
            {"actor": {"reference": "Location?identifier=ours|7", "display": "Room 3"}},
        ],
        **more,
    }


def test_an_appointment_lands_with_who_when_and_where(tmp_path: Path) -> None:
    reason = {"coding": [{"system": "http://terminology.hl7.org", "code": "pat-cpp"}], "text": "moved away"}
    resource = appointment(
        status="cancelled",
        cancelationReason=reason,
        serviceType=[{"text": "Consultation"}],
        comment="Call Ana back on 091 234 5678",
        description="Chronic sinusitis",
    )
    row = one(tmp_path, "appointments", resource)
    assert {key: value for key, value in row.items() if value is not None} == {
        "appointment_id": "a1",
        "status": "cancelled",
        "cancelation_code": "pat-cpp",
        "booked_at": datetime(2026, 1, 5, 11, tzinfo=UTC),
        "booked_at_is_date": False,
        "scheduled_at": datetime(2026, 1, 10, 8, 30, tzinfo=UTC),
        "minutes": 45,
        "patient_id": "p1",
        "practitioner_id": "d1",
        "practitioner_name": "Dr. A",
        "location_identifier": "ours|7",
        "location_name": "Room 3",
        "service": "Consultation",
        "_row_number": 1,
    }


def test_an_appointment_of_a_patient_named_by_an_identifier_lands_without_it(tmp_path: Path) -> None:
    ssn = {"actor": {"type": "Patient", "identifier": {"system": "ssn", "value": "999-94-5397"}}}
    untold = {"actor": {"identifier": {"system": "ssn", "value": "999-94-5397"}}}
    relative = {"actor": {"reference": "RelatedPerson/r1", "display": "Marko Horvat"}}
    participants = [ssn, untold, relative]
    row = one(tmp_path, "appointments", appointment(participant=participants, created="2026-01-05"))
    assert row["patient_id"] is None
    assert "94-5397" not in str(row)
    assert "Marko" not in str(row)
    assert row["booked_at_is_date"] is True
    assert row["booked_at"] == datetime(2026, 1, 5, 22, 59, 59, 999999, tzinfo=UTC)


def test_an_appointment_may_lie_ahead_and_have_no_slot_yet(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        appointment(start="2026-09-10T09:30:00+02:00", end=None, minutesDuration=20),
        appointment(id="a2", status="proposed", start=None, end=None),
        appointment(id="a3", status=None),
        appointment(id="a4", start="soon"),
    )
    rows, refused, _ = read(path, "appointments")
    assert [(row["appointment_id"], row["minutes"]) for row in rows] == [("a1", 20), ("a2", None)]
    assert refused == [
        ("status", "is empty but required"),
        ("scheduled_at", "is not a full FHIR date and time"),
    ]


def test_a_charge_names_its_visit_and_its_whole_price(tmp_path: Path) -> None:
    resource = {
        "resourceType": "ChargeItem",
        "id": "c1",
        "status": "billed",
        "subject": {"reference": "Patient/p1"},
        "context": {"reference": "Encounter/e1"},
        "code": {"coding": [{"display": "Septoplasty"}]},
        "performer": [
            {"actor": {"reference": "Practitioner/n1", "display": "Nurse"}},
            {
                "function": {"coding": [{"code": "PPRF"}]},
                "actor": {"identifier": {"system": "npi", "value": "7"}, "display": "Dr. A"},
            },
        ],
        "occurrenceDateTime": "2026-01-10T09:30:00+01:00",
        "quantity": {"value": 2},
        "priceOverride": {"value": 120.50, "currency": "EUR"},
    }
    row = one(tmp_path, "charge_items", resource)
    assert (row["encounter_id"], row["patient_id"], row["service"]) == ("e1", "p1", "Septoplasty")
    # the price is of the charge as a whole, whatever its quantity
    assert (row["amount"], row["currency"]) == (Decimal("120.5"), "EUR")
    assert (row["practitioner_identifier"], row["practitioner_name"]) == ("npi|7", "Dr. A")
    assert row["charged_at"] == datetime(2026, 1, 10, 8, 30, tzinfo=UTC)


def component(kind: str, value: Any, currency: str = "EUR") -> dict[str, Any]:
    return {"type": kind, "amount": {"value": value, "currency": currency}}


def invoice(*lines: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Invoice",
        "id": "i1",
        "status": "issued",
        "subject": {"reference": "Patient/p1"},
        "date": "2026-01-10T11:00:00+01:00",
        "lineItem": [
            {"chargeItemReference": {"reference": f"ChargeItem/c{n}"}, "priceComponent": line}
            for n, line in enumerate(lines, start=1)
        ],
        **more,
    }


def test_a_line_costs_its_base_and_taxes_less_its_discounts(tmp_path: Path) -> None:
    resource = invoice(
        [
            component("base", 100),
            component("discount", 10),
            component("tax", 18),
            component("informational", 9),
        ],
        # a server that writes what it takes off as a negative amount
        [component("base", 50), component("discount", -5)],
        totalNet={"value": 135, "currency": "EUR"},
        totalGross={"value": 153, "currency": "EUR"},
    )
    rows, refused, _ = read(write(tmp_path, resource), "invoices")
    assert refused == []
    assert [(row["line"], row["charge_item_id"], row["amount"]) for row in rows] == [
        (1, "c1", Decimal(108)),
        (2, "c2", Decimal(45)),
    ]
    assert {row["patient_id"] for row in rows} == {"p1"}


def test_invoices_whose_figures_contradict_each_other_are_quarantined(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        invoice([component("base", 100)], totalGross={"value": 10_000, "currency": "EUR"}),
        invoice([component("base", 100), component("tax", 5, "USD")], id="i2"),
        invoice([component("base", "ten")], id="i3"),
        invoice([component("base", 1)], id="i4", status=None),
        # what cannot be added up is no contradiction
        invoice([component("base", 100), {"type": "tax"}], id="i5", totalGross={"value": 118}),
        invoice(id="i6", totalGross={"value": 118}),
    )
    rows, refused, _ = read(path, "invoices")
    assert refused == [
        ("amount", "the lines do not add up to the invoice's total"),
        ("currency", "differs between the parts of a price"),
        ("amount", "is not an amount"),
        ("status", "is empty but required"),
    ]
    assert [(row["invoice_id"], row["line"], row["amount"]) for row in rows] == [
        ("i5", 1, None),
        ("i6", 0, None),
    ]


def payment(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "PaymentReconciliation",
        "id": "y1",
        "status": "active",
        "created": "2026-01-12T10:00:00Z",
        "paymentDate": "2026-01-11",
        "paymentAmount": {"value": 100, "currency": "EUR"},
        **more,
    }


def parts(tmp_path: Path, resource: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows, refused, _ = read(write(tmp_path, resource), "payment_reconciliations")
    assert refused == []
    return [(row["line"], row["amount"], row["request_type"], row["request_id"]) for row in rows]


def test_a_payment_is_split_over_what_it_settles_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    detail = [
        {"request": {"reference": "Invoice/i1"}, "amount": {"value": 60.25, "currency": "EUR"}},
        {"request": {"reference": "Claim/k1"}, "amount": {"value": 30}},
        {"request": {"reference": "Invoice/i2"}},
    ]
    assert parts(tmp_path, payment(detail=detail)) == [
        ("1", Decimal("60.25"), "Invoice", "i1"),
        ("2", Decimal(30), "Claim", "k1"),
        ("rest", Decimal("9.75"), None, None),
    ]
    assert parts(tmp_path, payment()) == [("rest", Decimal(100), None, None)]
    assert parts(tmp_path, payment(detail=[{"amount": {"value": 100}}])) == [("1", Decimal(100), None, None)]


def test_a_refund_keeps_its_sign_and_the_day_is_its_local_end(tmp_path: Path) -> None:
    resource = payment(paymentAmount={"value": -20, "currency": "EUR"})
    (row,) = read(write(tmp_path, resource), "payment_reconciliations")[0]
    assert row["amount"] == Decimal(-20)
    assert row["paid_at"] == datetime(2026, 1, 11, 22, 59, 59, 999999, tzinfo=UTC)


def test_r5_names_of_a_payment_are_read_too(tmp_path: Path) -> None:
    resource = {
        "resourceType": "PaymentReconciliation",
        "id": "y1",
        "status": "active",
        "date": "2026-01-11",
        "amount": {"value": 50, "currency": "EUR"},
        "method": {"coding": [{"code": "CASH"}]},
        "paymentIssuer": {"reference": "Organization/o1"},
        "allocation": [
            {
                "target": {"reference": "ChargeItem/c1"},
                "encounter": {"reference": "Encounter/e1"},
                "amount": {"value": 50, "currency": "EUR"},
            }
        ],
    }
    (row,) = read(write(tmp_path, resource), "payment_reconciliations")[0]
    assert (row["request_type"], row["request_id"], row["encounter_id"]) == ("ChargeItem", "c1", "e1")
    assert (row["method"], row["is_from_organization"]) == ("cash", True)


def test_payments_that_cannot_be_used_are_quarantined(tmp_path: Path) -> None:
    foreign = [{"amount": {"value": 1, "currency": "USD"}}]
    path = write(
        tmp_path,
        payment(paymentAmount=None),
        payment(id="y2", paymentDate=None, created=None),
        payment(id="y3", detail=foreign),
    )
    assert read(path, "payment_reconciliations")[1] == [
        ("amount", "is empty but required"),
        ("paid_at", "is empty but required"),
        ("currency", "differs between a payment and its part"),
    ]


@given(
    st.decimals(-10_000, 10_000, places=2),
    st.lists(st.one_of(st.none(), st.decimals(-10_000, 10_000, places=2)), max_size=6),
)
def test_the_parts_of_a_payment_always_add_up_to_it(total: Decimal, amounts: list[Decimal | None]) -> None:
    detail = [{} if amount is None else {"amount": {"value": amount}} for amount in amounts]
    kind = next(k for k in KINDS if k.resource_type == "PaymentReconciliation")
    rows = kind.rows(payment(paymentAmount={"value": total}, detail=detail), ZAGREB)
    assert sum(row["amount"] for row in rows) == total
    assert len({row["line"] for row in rows}) == len(rows)


def test_a_notice_tells_of_its_payment(tmp_path: Path) -> None:
    resource = {
        "resourceType": "PaymentNotice",
        "id": "n1",
        "status": "active",
        "created": "2026-01-12",
        "payment": {"reference": "PaymentReconciliation/y1"},
        "request": {"reference": "Invoice/i1"},
        "amount": {"value": 7.5, "currency": "EUR"},
    }
    row = one(tmp_path, "payment_notices", resource)
    assert (row["payment_id"], row["request_id"], row["amount"]) == ("y1", "i1", Decimal("7.5"))


def deletions(*urls: str, at: str = "2026-02-01T10:00:00Z") -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "meta": {"lastUpdated": at},
        "entry": [{"request": {"method": "DELETE", "url": url}} for url in urls],
    }


def test_a_file_of_deletions_removes_what_it_names(tmp_path: Path) -> None:
    mixed = deletions("Invoice/i1", "Patient/p1", "https://emr.example/fhir/Invoice/i2/_history/4")
    mixed["entry"].append({"request": {"method": "PUT", "url": "Invoice/i3"}})
    rows, refused, log = read(write(tmp_path, mixed), "invoices")
    assert refused == []
    assert [(r["invoice_id"], r["line"], r["is_deleted"], r["status"]) for r in rows] == [
        ("i1", 0, True, None),
        ("i2", 0, True, None),
    ]
    assert {r["last_updated"] for r in rows} == {datetime(2026, 2, 1, 10, tzinfo=UTC)}
    assert log.skipped == {"deletion of another type": 1, "entry of a Bundle that deletes nothing": 1}
    for name, stream in STREAMS.items():
        (kind,) = (k for k in KINDS_OF_ALL if k.stream.name == name)
        (row,) = read(write(tmp_path, deletions(f"{kind.resource_type}/x1")), name)[0]
        assert (row[stream.primary_key[0]], row["is_deleted"]) == ("x1", True)


# Real files


def test_the_bulk_export_lands_whole(shared: Path) -> None:
    folder = shared / "emr_mis/fhir_bulk"
    expected = {
        "patients": ("Patient", 13),
        "encounters": ("Encounter", 1215),
        "practitioners": ("Practitioner", 43),
        "practitioner_roles": ("PractitionerRole", 43),
        "organizations": ("Organization", 43),
        "locations": ("Location", 44),
    }
    found = {}
    for stream, (type_, count) in expected.items():
        rows, refused, log = read(folder / f"{type_}.000.ndjson", stream)
        assert (len(rows), refused, log.skipped) == (count, [], {})
        found[stream] = rows
    encounters = found["encounters"]
    assert Counter(row["class_code"] for row in encounters) == {
        "AMB": 1133,
        "IMP": 49,
        "EMER": 23,
        "HH": 9,
        "VR": 1,
    }
    assert {row["status"] for row in encounters} == {"finished"}
    # every reference resolves: to a patient by id, to a doctor, a place and an organization by identifier
    patients = {row["patient_id"] for row in found["patients"]}
    assert {row["patient_id"] for row in encounters} <= patients
    for stream, prefix in (
        ("practitioners", "practitioner"),
        ("locations", "location"),
        ("organizations", "organization"),
    ):
        known = {identifier for row in found[stream] for identifier in row["identifiers"]}
        assert {row[f"{prefix}_identifier"] for row in encounters} <= known
    assert {row["practitioner_identifier"] for row in found["practitioner_roles"]} == {
        row["identifiers"][0] for row in found["practitioners"]
    }
    by_id = {row["encounter_id"]: row for row in encounters}
    first = by_id["00c7f717-4030-5582-2ed8-888ad2bc878e"]
    assert first["period_start"] == datetime(1989, 10, 4, 6, 25, 16, tzinfo=UTC)
    assert first["practitioner_name"] == "Dr. Chelsey293 Simonis280"
    assert all(row["phone_keys"] for row in found["patients"])


def test_no_personal_text_of_the_bulk_export_lands(shared: Path) -> None:
    folder = shared / "emr_mis/fhir_bulk"
    landed = ""
    for stream, name in (("patients", "Patient"), ("encounters", "Encounter")):
        rows, _, _ = read(folder / f"{name}.000.ndjson", stream)
        landed += "\n".join(str(row) for row in rows)
    # doctors are named, and one shares a patient's family name
    staff = {word for row in rows for word in row["practitioner_name"].split()}
    for line in (folder / "Patient.000.ndjson").read_text(encoding="utf-8").splitlines():
        patient = json.loads(line)
        personal = [part for name in patient["name"] for part in (name["family"], *name["given"])]
        personal += [point["value"] for point in patient["telecom"]]
        personal += [text for address in patient["address"] for text in address["line"]]
        personal += [i["value"] for i in patient["identifier"] if i.get("value") != patient["id"]]
        assert [text for text in personal if text in landed and text not in staff] == []
