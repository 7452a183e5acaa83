"""Open Dental: a practice played on loopback, the vendor's own examples, exports of its tables."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.contract import SourceOptions
from connectors.errors import AuthError, FileRefused, IncompleteError, PermanentError
from connectors.open_dental import CONNECTOR
from connectors.privacy import Privacy
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import (
    ApiContract,
    Reply,
    Request,
    fetched,
    options,
    playing,
    stream_of,
    window,
)

DEVELOPER, CUSTOMER = "d3veloper", "cust0mer"
PHONE = Privacy(b"k" * 32, "HR").phone_key("+385912345678")
_FILTERS = {
    "/appointments": {"dateStart", "dateEnd", "DateTStamp"},
    "/procedurelogs": {"DateTStamp"},
    "/payments": {"DateEntry"},
    "/paysplits": set(),
    "/patients/Simple": set(),
    "/providers": set(),
    "/clinics": set(),
}


def appointment(number: int, day: str, **over: Any) -> dict[str, Any]:
    """An appointment as the API gives it."""
    return {
        "serverDateTime": "2024-05-04 09:32:45",
        "AptNum": number,
        "PatNum": 17,
        "AptStatus": "Complete",
        "Pattern": "//XXXX//",
        "Confirmed": 19,
        "confirmed": "Not Called",
        "Op": 3,
        "Note": "a secret note",
        "ProvNum": 1,
        "provAbbr": "DOC1",
        "ProvHyg": 2,
        "AptDateTime": f"{day} 08:30:00",
        "IsNewPatient": "false",
        "ProcDescript": "Seal, Seal",
        "ClinicNum": 0,
        "IsHygiene": "false",
        "DateTStamp": f"{day} 12:00:00",
        "DateTimeArrived": "0001-01-01 00:00:00",
        "DateTimeSeated": "0001-01-01 00:00:00",
        "SecDateTEntry": "2024-01-02 09:12:05",
        **over,
    }


def payment(number: int, day: str, **over: Any) -> dict[str, Any]:
    """A payment as the API gives it."""
    return {
        "PayNum": number,
        "PayType": 69,
        "payType": "Check",
        "PayDate": day,
        "PayAmt": "339.50",
        "PayNote": "a secret note",
        "PatNum": 1337,
        "ClinicNum": "0",
        "DateEntry": day,
        **over,
    }


class Practice:
    """One practice behind the API: lists of at most 100 rows, ordered by key."""

    def __init__(self, customer: str = CUSTOMER) -> None:
        self.customer = customer
        self.tables: dict[str, list[dict[str, Any]]] = {path: [] for path in _FILTERS}
        self.limit = 100

    def __call__(self, request: Request) -> Reply:
        if request.headers.get("Authorization") != f"ODFHIR {DEVELOPER}/{self.customer}":
            return Reply('"Invalid credentials"', 401)
        path = request.path.removeprefix("/api/v1")
        if request.method != "GET" or path not in _FILTERS:
            return Reply('"Not found"', 404)
        query = dict(request.query)
        offset = query.pop("Offset", None)
        if offset is not None and not re.fullmatch(r"[1-9]\d*", offset):
            return Reply('"Offset is invalid"', 400)
        if unknown := set(query) - _FILTERS[path]:
            return Reply(f'"{sorted(unknown)[0]} is not a valid parameter"', 400)
        rows = self.tables[path]
        for name, value in query.items():
            wanted = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d" if name == "DateTStamp" else r"\d{4}-\d\d-\d\d"
            if not re.fullmatch(wanted, value):
                return Reply(f'"{name} is not in the right format"', 400)
            rows = [row for row in rows if self._fits(name, value, row)]
        begin = int(offset or 0)
        return Reply(rows[begin : begin + self.limit])

    def _fits(self, name: str, value: str, row: dict[str, Any]) -> bool:
        if name == "dateStart":
            return bool(row["AptDateTime"][:10] >= value)
        if name == "dateEnd":
            return bool(row["AptDateTime"][:10] <= value)
        if name == "DateTStamp":
            return bool(row["DateTStamp"] > value)
        return bool(row["DateEntry"] >= value)


def source_at(url: str, customer: str = CUSTOMER, **settings: Any) -> SourceOptions:
    return options(
        "open_dental", developer_key=DEVELOPER, customer_key=customer, base_url=f"{url}/api/v1", **settings
    )


class TestOpenDentalApi(ApiContract):
    stream = "appointments"
    key = "appointment_id"
    asked = window("2024-03-08", "2024-03-09")
    empty = window("2023-01-01")
    ids = [str(n) for n in range(1, 251)]  # noqa: RUF012
    setting = "customer_key"

    def vendor(self, request: Request) -> Reply:
        practice = Practice(self.secret)
        practice.tables["/appointments"] = [appointment(n, f"2024-03-0{8 + n % 2}") for n in range(1, 251)]
        return practice(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def practice() -> Practice:
    return Practice()


def landed(
    practice: Practice, stream: str, since: str = "2024-03-08", until: str | None = None, **settings: Any
) -> list[dict[str, Any]]:
    with playing(practice) as server:
        return fetched(source_at(server.url, **settings), stream, window(since, until))


def test_an_appointment_is_a_time_of_the_practice(practice: Practice, pauses: list[float]) -> None:
    practice.tables["/appointments"] = [
        appointment(1, "2024-03-08", DateTimeArrived="2024-03-08 08:20:00"),
        appointment(2, "2024-03-08", IsHygiene="true", ClinicNum=4, DateTimeArrived="2024-03-08 00:00:00"),
    ]
    first, second = landed(practice, "appointments", timezone="America/Los_Angeles")
    assert first["scheduled_at"] == datetime(2024, 3, 8, 16, 30, tzinfo=UTC)
    assert first["scheduled_on"] == date(2024, 3, 8)
    assert first["booked_at"] == datetime(2024, 1, 2, 17, 12, 5, tzinfo=UTC)
    assert first["arrived_at"] == datetime(2024, 3, 8, 16, 20, tzinfo=UTC)
    assert (first["seated_at"], first["clinic_id"], first["is_new_patient"]) == (None, None, False)
    assert (first["minutes"], first["provider_id"], first["provider"]) == (40, "1", "DOC1")
    assert (second["provider_id"], second["provider"], second["clinic_id"]) == ("2", None, "4")
    assert second["arrived_at"] is None
    assert first["broken_means"] == "unknown"
    assert "secret" not in str([first, second])


def test_an_appointment_changed_lately_comes_wherever_it_lies(
    practice: Practice, pauses: list[float]
) -> None:
    today = datetime.now(tz=UTC).date()
    stamp, next_year = f"{today} 01:00:00", (today + timedelta(days=400)).isoformat()
    practice.tables["/appointments"] = [
        appointment(1, "2020-01-05", DateTStamp=stamp),
        appointment(2, "2020-01-05"),
        appointment(3, next_year, DateTStamp=stamp, AptStatus="UnschedList"),
        appointment(4, "0001-01-01", AptDateTime="0001-01-01 00:00:00", DateTStamp=stamp, AptStatus="ASAP"),
    ]
    since = (today - timedelta(days=3)).isoformat()
    rows = landed(practice, "appointments", since, today.isoformat())
    assert [(r["appointment_id"], r["scheduled_at"] is None) for r in rows] == [
        ("1", False),
        ("3", False),
        ("4", True),
    ]
    # an old window has been read before, and one that lies ahead asks for its days alone
    assert landed(practice, "appointments", "2022-01-01") == []
    ahead = (today + timedelta(days=30)).isoformat()
    assert landed(practice, "appointments", ahead) == []


def test_rows_deleted_while_a_list_is_read_leave_no_gap(practice: Practice, pauses: list[float]) -> None:
    rows = [appointment(n, "2024-03-08") for n in range(1, 251)]
    practice.tables["/appointments"] = rows
    asked = 0

    def shrinking(request: Request) -> Reply:
        nonlocal asked
        asked += 1
        if asked == 2:
            del rows[:3]
        return practice(request)

    with playing(shrinking) as server:
        found = fetched(source_at(server.url), "appointments", window("2024-03-08"))
    assert [r["appointment_id"] for r in found] == [str(n) for n in range(1, 251)]


@pytest.mark.parametrize("gone", [20, 200])
def test_rows_that_moved_too_far_refuse_the_window(
    practice: Practice, pauses: list[float], gone: int
) -> None:
    rows = [appointment(n, "2024-03-08") for n in range(1, 251)]
    practice.tables["/appointments"] = rows
    asked = 0

    def shrinking(request: Request) -> Reply:
        nonlocal asked
        asked += 1
        if asked == 2:
            del rows[:gone]
        return practice(request)

    with pytest.raises(IncompleteError, match="rows moved"), playing(shrinking) as server:
        fetched(source_at(server.url), "appointments", window("2024-03-08"))


def test_a_list_that_knows_no_offset_ends(practice: Practice, pauses: list[float]) -> None:
    practice.tables["/clinics"] = [{"ClinicNum": n, "Description": "x"} for n in range(1, 101)]

    def deaf(request: Request) -> Reply:
        request.query.pop("Offset", None)
        return practice(request)

    with pytest.raises(IncompleteError, match="another Offset"), playing(deaf) as server:
        fetched(source_at(server.url), "clinics", window("2024-03-08"))


def test_a_local_server_gives_a_thousand_rows_at_once(practice: Practice, pauses: list[float]) -> None:
    practice.limit = 1000
    practice.tables["/appointments"] = [appointment(n, "2024-03-08") for n in range(1, 1501)]
    with playing(practice) as server:
        rows = fetched(source_at(server.url), "appointments", window("2024-03-08"))
        assert len(server.requests) == 3
    assert len({r["appointment_id"] for r in rows}) == 1500


def test_procedures_are_asked_for_since_a_day_before_the_window(
    practice: Practice, pauses: list[float]
) -> None:
    practice.tables["/procedurelogs"] = [
        {
            "ProcNum": n,
            "PatNum": 12,
            "AptNum": apt,
            "ProcDate": "2024-03-08",
            "ProcFee": "130.00",
            "ProcStatus": "C",
            "ProvNum": 2,
            "provAbbr": "DOC2",
            "procCode": "D0120",
            "descript": "periodic oral evaluation",
            "UnitQty": units,
            "BaseUnits": 0,
            "Discount": 0.0,
            "ClinicNum": 0,
            "DateTStamp": stamp,
        }
        for n, apt, units, stamp in [
            (1, 1341, 1, "2024-03-07 07:00:34"),
            (2, 0, 0, "2024-03-08 07:00:34"),
            (3, 0, 2, "2024-03-01 07:00:34"),
        ]
    ]
    rows = landed(practice, "procedurelogs")
    assert [(r["procedure_id"], r["appointment_id"], r["units"]) for r in rows] == [
        ("1", "1341", 1),
        ("2", None, 1),
    ]
    assert (rows[0]["fee"], rows[0]["discount"], rows[0]["done_on"]) == (
        Decimal(130),
        Decimal(0),
        date(2024, 3, 8),
    )
    assert rows[0]["done_at"] == datetime(2024, 3, 8, 22, 59, 59, 999999, tzinfo=UTC)


def test_payments_entered_after_the_window_are_another_s(practice: Practice, pauses: list[float]) -> None:
    practice.tables["/payments"] = [
        payment(1, "2024-03-07"),
        payment(2, "2024-03-08", payType="Cash"),
        payment(3, "2024-03-09", PayDate="2024-03-01"),
        payment(4, "2024-03-10"),
    ]
    rows = landed(practice, "payments", "2024-03-08", "2024-03-09", payer_types={"Check": "employer"})
    assert [(r["payment_id"], r["configured_payer_type"], r["paid_on"].day) for r in rows] == [
        ("2", None, 8),
        ("3", "employer", 1),
    ]
    assert rows[0]["amount"] == Decimal("339.5")


def test_splits_patients_providers_and_clinics_are_read_whole(
    practice: Practice, pauses: list[float]
) -> None:
    practice.tables["/paysplits"] = [
        {
            "SplitNum": 116,
            "SplitAmt": -140.25,
            "PatNum": 407,
            "PayNum": 8567,
            "ProvNum": 1,
            "DatePay": "2023-01-27",
            "ProcNum": 0,
            "UnearnedType": 288,
            "ClinicNum": 1,
        }
    ]
    practice.tables["/patients/Simple"] = [
        {
            "PatNum": 48,
            "LName": "Secret",
            "FName": "Jane",
            "PatStatus": "Patient",
            "Gender": "Female",
            "Birthdate": "1976-05-24",
            "HmPhone": "(091)234-5678",
            "WkPhone": "",
            "WirelessPhone": "+385 91 234 5678",
            "Email": "a@b.hr",
            "DateFirstVisit": "2021-12-16",
            "SecDateEntry": "2021-12-04",
            "DateTStamp": "2021-12-08 15:34:34",
        },
        {"PatNum": 49, "Birthdate": "0001-01-01", "Gender": "Unknown", "SecDateEntry": "0001-01-01"},
    ]
    practice.tables["/providers"] = [
        {"ProvNum": 1, "Abbr": "DOC1", "LName": "Albert", "FName": "Brian", "Suffix": "DDS"},
        {"ProvNum": 2, "Abbr": "HYG", "LName": "", "FName": ""},
    ]
    practice.tables["/clinics"] = [{"ClinicNum": 1, "Description": "West", "Abbr": "W"}]
    (split,) = landed(practice, "paysplits")
    assert (split["amount"], split["procedure_id"], split["unearned_type"]) == (
        Decimal("-140.25"),
        None,
        "288",
    )
    assert split["paid_at"] == datetime(2023, 1, 27, 22, 59, 59, 999999, tzinfo=UTC)
    jane, unknown = landed(practice, "patients")
    assert (jane["phone_keys"], jane["birth_year"], jane["sex"]) == ([PHONE], 1976, "female")
    assert jane["registered_at"] == datetime(2021, 12, 4, 22, 59, 59, 999999, tzinfo=UTC)
    assert (unknown["birth_year"], unknown["sex"], unknown["registered_at"]) == (None, None, None)
    assert "Secret" not in str([jane, unknown])
    assert [r["name"] for r in landed(practice, "providers")] == ["Brian Albert DDS", "HYG"]
    assert [r["name"] for r in landed(practice, "clinics")] == ["West"]


def test_the_probe_counts_providers(practice: Practice, pauses: list[float]) -> None:
    practice.tables["/providers"] = [{"ProvNum": n} for n in (1, 2)]
    with playing(practice) as server:
        source: Any = source_at(server.url)
        assert CONNECTOR.probe(source) == "answers; 2 providers"


@pytest.mark.parametrize(
    ("reply", "kind", "match"),
    [
        (Reply('"PatNum is required"', 400), PermanentError, "HTTP 400 .PatNum is required"),
        (Reply("", 404), PermanentError, "no reason given"),
        (Reply("", 403), AuthError, "mend `customer_key`"),
        (Reply({"error": "x"}), PermanentError, "something else than a list"),
    ],
)
def test_what_will_not_do_is_not_asked_again(
    pauses: list[float], reply: Reply, kind: type[Exception], match: str
) -> None:
    with playing(lambda _request: reply) as server:
        with pytest.raises(kind, match=match) as failed:
            fetched(source_at(server.url), "paysplits", window("2024-03-08"))
        assert len(server.requests) == 1
    assert CUSTOMER not in str(failed.value)
    assert DEVELOPER not in str(failed.value)


# --- configuration ---


def test_routes_exist_only_with_keys() -> None:
    source: Any = source_at("http://127.0.0.1:1")
    routes = {s.name: CONNECTOR.route(source, s) for s in CONNECTOR.streams(source)}
    assert {name: route.by for name, route in routes.items() if route is not None} == {
        "appointments": "day",
        "procedurelogs": "change",
        "payments": "day",
        "paysplits": "whole",
        "patients": "whole",
        "providers": "whole",
        "clinics": "whole",
    }
    bare: Any = options("open_dental")
    assert CONNECTOR.route(bare, stream_of(bare, "payments")) is None


def test_how_fast_the_practice_may_be_asked_re_reads_nothing() -> None:
    slow: Any = options("open_dental", requests_per_second=0.2)
    fast: Any = options("open_dental", developer_key="x", customer_key="y")
    other: Any = options("open_dental", broken_means="no_show")
    prints = [CONNECTOR.fingerprint(s, stream_of(s, "appointments")) for s in (slow, fast, other)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"developer_key": "x"}, "needs customer_key too"),
        ({"customer_key": "x"}, "needs developer_key too"),
        ({"payer_types": {"Check": "money"}}, "'money' is none of cash"),
        ({"broken_means": "lost"}, "broken_means"),
        ({"requests_per_second": 0}, "greater than 0"),
        ({"date_format": "dd.mm"}, "with a year"),
    ],
)
def test_half_a_configuration_is_one_clear_line(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options("open_dental", **settings)


# --- the vendor's examples ---


def sample(shared: Path, name: str, stream: str) -> Read:
    path = shared / "emr_mis/open_dental" / f"{name}.json"
    return read(CONNECTOR, path, stream, timezone="America/Los_Angeles")


def test_the_vendor_s_example_of_an_appointment(shared: Path) -> None:
    (row,) = sample(shared, "appointment_get", "appointments").landed
    assert (row["appointment_id"], row["patient_id"], row["status"]) == ("18", "17", "Scheduled")
    assert row["scheduled_at"] == datetime(2020, 7, 31, 15, 30, tzinfo=UTC)
    assert row["booked_at"] == datetime(2020, 7, 4, 16, 12, 5, tzinfo=UTC)
    assert (row["minutes"], row["clinic_id"], row["is_new_patient"]) == (40, None, False)


def test_the_vendor_s_example_of_a_procedure(shared: Path) -> None:
    (row,) = sample(shared, "procedurelog_get", "procedurelogs").landed
    assert (row["procedure_id"], row["appointment_id"], row["status"]) == ("20", "1341", "C")
    assert (row["fee"], row["units"], row["code"], row["done_on"]) == (
        Decimal(130),
        1,
        "D0120",
        date(2022, 5, 5),
    )


def test_the_vendor_s_examples_of_money(shared: Path) -> None:
    payments = sample(shared, "payments_list", "payments").landed
    assert [(r["payment_id"], r["amount"], r["pay_type"]) for r in payments] == [
        ("56734", Decimal(339), "Check"),
        ("56952", Decimal(239), "Check"),
    ]
    splits = sample(shared, "paysplits_list", "paysplits").landed
    assert [(r["split_id"], r["procedure_id"], r["amount"]) for r in splits] == [
        ("116", "9", Decimal(140)),
        ("115", "8", Decimal(140)),
    ]
    assert {(r["payment_id"], r["unearned_type"], r["clinic_id"]) for r in splits} == {("8567", None, "1")}


def test_an_example_of_another_table_is_refused(shared: Path) -> None:
    with pytest.raises(FileRefused, match="is not an answer for paysplits: it has no SplitNum"):
        sample(shared, "payments_list", "paysplits")


# --- exports ---

HEADER = "AptNum,PatNum,AptStatus,Pattern,Confirmed,AptDateTime,IsNewPatient,DateTStamp,ProvNum"


def export(tmp_path: Path, text: str | bytes, stream: str = "appointments", **given: Any) -> Read:
    path = tmp_path / "export.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(CONNECTOR, path, stream, **given)


def test_an_export_has_the_numbers_that_the_database_keeps(tmp_path: Path) -> None:
    found = export(
        tmp_path,
        "\ufeffAppointments of March,,,,,,,,\n"
        f"{HEADER}\n"
        "1,17,2,//XX,19,2024-03-08 08:30:00,0,2024-03-08 12:00:00,1\n"
        "\n"
        "2,18,5,//XX,19,2024-03-08 09:30:00,1,2024-03-08 12:00:00,1\n"
        "3,18,3,,19,0001-01-01 00:00:00,0,2024-03-08 12:00:00,0\n",
    )
    assert [(r["appointment_id"], r["status"], r["is_new_patient"]) for r in found.landed] == [
        ("1", "Complete", False),
        ("2", "Broken", True),
        ("3", "UnschedList", False),
    ]
    assert found.landed[2]["scheduled_at"] is None
    # Confirmed is a number of the practice's own, not the word that `confirmed` has
    assert {r["confirmed"] for r in found.landed} == {None}
    assert found.log.unknown_columns == {"Confirmed"}
    assert found.log.skipped == {"preamble": 1, "blank line": 1}


def test_american_dates_are_read_where_the_configuration_says_so(tmp_path: Path) -> None:
    text = "PayNum;PatNum;PayDate;PayAmt;DateEntry\n1;2;3/8/2024;$1,339.50;03/09/2024\n"
    with_format = export(tmp_path, text, "payments", date_format="%m/%d/%Y")
    assert [(r["paid_on"], r["entered_on"], r["amount"]) for r in with_format.landed] == [
        (date(2024, 3, 8), date(2024, 3, 9), Decimal("1339.5"))
    ]
    without = export(tmp_path, text, "payments")
    assert without.reasons == ["paid_on: is not a date in the format ISO 8601"]


def test_tabs_gz_and_workbooks_are_read_alike(tmp_path: Path) -> None:
    rows = [["SplitNum", "SplitAmt", "PatNum", "PayNum", "DatePay"], ["1", "5.25", "2", "3", "2024-03-08"]]
    tsv = "\n".join("\t".join(row) for row in rows)
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(tsv.encode()))
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(rows[0])
    sheet.append([1, 5.25, 2, 3, datetime(2024, 3, 8)])
    book.save(tmp_path / "b.xlsx")
    found = [read(CONNECTOR, tmp_path / name, "paysplits").landed for name in ("a.tsv.gz", "b.xlsx")]
    assert found[0] == found[1]
    assert found[0][0]["amount"] == Decimal("5.25")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is empty"),
        (b"<html><body>no</body></html>", "the columns AptNum, PatNum, AptStatus, AptDateTime are missing"),
        (b"AptNum,PatNum,AptDateTime\n1,2,2024-03-08\n", "the columns AptStatus are missing"),
        (b'AptNum,PatNum,AptStatus,AptDateTime\n1,2,"2', "cut short"),
        (b'[{"AptNum": 1, "PatN', "not whole JSON"),
        (b'[{"PatNum": 1}]', "it has no AptNum"),
        (b"AptNum,PatNum,AptStatus,AptDateTime\n1,2,2,\x81\n", "is not cp1252 text"),
    ],
)
def test_what_is_no_export_of_the_table_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        export(tmp_path, text)


def test_rows_that_cannot_be_read_are_quarantined_alone(tmp_path: Path) -> None:
    later = (datetime.now(tz=UTC) + timedelta(days=9)).strftime("%Y-%m-%d %H:%M:%S")
    lines = [
        "1,17,2,,19,2024-03-08 08:30:00,0,,1",
        '"1,23E+10",17,2,,19,2024-03-08 08:30:00,0,,1',
        "3,17,2,,19,08.03.2024,0,,1",
        f"4,17,2,,19,{later},0,,1",
        "5,17,2,,19,1024-03-08 08:30:00,0,,1",
        "6,17,2,,19,2024-03-08 08:30:00,perhaps,,1",
        "7,17,2,,19,2024-03-08 08:30:00,0,,1,,9",
        "8,,2,,19,2024-03-08 08:30:00,0,,1",
        "1.23E+10,17,2,,19,2024-03-08 08:30:00,0,,1",
        f"9,17,1,,19,{later},0,,1",
    ]
    found = export(tmp_path, "\n".join([HEADER, *lines]))
    assert [r["appointment_id"] for r in found.landed] == ["1", "9"]
    reasons = found.reasons
    assert reasons[0].startswith("appointment_id: was ruined by a spreadsheet")
    assert reasons[1] == "scheduled_at: is not a date in the format ISO 8601"
    assert "yet it is complete" in reasons[2]
    assert reasons[3] == "scheduled_at: has the absurd year 1024"
    assert reasons[4] == "is_new_patient: is neither yes nor no"
    assert "more cells than the header" in reasons[5]
    assert reasons[6] == "patient_id: is empty but required"
    assert "ruined by a spreadsheet" in reasons[7]


_MONEY = st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False, allow_infinity=False)


@given(amounts=st.lists(_MONEY, min_size=1, max_size=30), as_json=st.booleans())
def test_every_split_lands_with_its_money_from_an_answer_and_from_an_export(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[Decimal], as_json: bool
) -> None:
    rows = [
        {"SplitNum": n, "SplitAmt": str(amount), "PatNum": 1, "PayNum": 2, "DatePay": "2024-03-08"}
        for n, amount in enumerate(amounts, start=1)
    ]
    folder = tmp_path_factory.mktemp("open_dental")
    if as_json:
        path = folder / "a.json"
        path.write_text(json.dumps(rows))
    else:
        path = folder / "a.csv"
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(text.getvalue())
    found = read(CONNECTOR, path, "paysplits")
    assert found.quarantined == []
    assert [r["amount"] for r in found.landed] == amounts


_PROCEDURES = ["ProcNum", "PatNum", "AptNum", "ProcDate", "ProcFee", "ProcStatus", "UnitQty", "DateTStamp"]
_ROWS = st.tuples(
    st.integers(0, 99).map(str),
    st.sampled_from(["0", "7", "1341", ""]),
    st.sampled_from(["2024-03-08", "2024-03-31 00:00:00", "0001-01-01", "", "08.03.2024", "2099-01-01"]),
    st.sampled_from(["130.00", "1,339.50", "0", "", "much", "-5"]),
    st.sampled_from(["2", "C", "1", "6", "TP"]),
    st.sampled_from(["1", "0", "3", ""]),
    st.sampled_from(["2024-03-08 12:00:00", "2024-10-27 02:30:00", "0001-01-01 00:00:00", ""]),
)


@given(rows=st.lists(_ROWS, min_size=1, max_size=20))
def test_blocks_of_a_long_table_are_its_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    """A column that differs in case alone from one of ours makes the same export be read row by row."""
    folder = tmp_path_factory.mktemp("open_dental")
    found = []
    for name, more in (("blocks.csv", "Note"), ("rows.csv", "procdate")):
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([*_PROCEDURES, more])
        for number, row in enumerate(rows, start=1):
            writer.writerow([number, *row, "x"])
        (folder / name).write_text(text.getvalue())
        found.append(read(CONNECTOR, folder / name, "procedurelogs", currency="USD"))
    assert found[0].landed == found[1].landed
    # of two faults of a row another one may be named
    faulty = [[q.row_number for q in each.quarantined] for each in found]
    assert faulty[0] == faulty[1]


def test_a_long_export_with_a_line_too_wide_is_refused(tmp_path: Path) -> None:
    text = "SplitNum,SplitAmt,PatNum,PayNum,DatePay\n1,5,2,3,2024-03-08\n2,5,2,3,2024-03-08,9\n"
    with pytest.raises(FileRefused, match="line 3 has 6 cells"):
        export(tmp_path, text, "paysplits")
