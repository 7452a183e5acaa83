"""Any clinic's own export, mapped column by column."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors._mapped_tables import TABLES
from connectors.check import check
from connectors.conformed import INPUTS, REFERENCES
from connectors.contract import ReadLog
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.mapped_file import CONNECTOR, MappedFileOptions
from connectors.privacy import Privacy
from pipelines.config import load_clinic
from pipelines.landing import Landing

ARRIVED = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRIVACY = Privacy(b"a key of the tests, 32 bytes long", "HR")

# The example of the configuration documentation.
VISITS: dict[str, Any] = {
    "columns": {
        "visit_id": "№ приема",
        "patient_id": "№ карты",
        "phone": "Телефон",
        "visited_at": "Дата приема",
        "doctor": "Врач",
        "branch": "Филиал",
        "service": "Услуга",
        "status": "Статус",
        "billed": "Сумма",
        "paid": "Оплачено",
    },
    "values": {"status": {"Выполнен": "completed", "Неявка": "no_show", "Отменен": "cancelled_by_patient"}},
    "where": {"Тип": "Прием"},
}
RUSSIAN: dict[str, Any] = {
    "encoding": "cp1251",
    "delimiter": ";",
    "decimal": ",",
    "datetime_format": "%d.%m.%Y %H:%M",
}
HEADER = "Тип;№ приема;№ карты;Телефон;Дата приема;Врач;Филиал;Услуга;Статус;Сумма;Оплачено"


def options(**given: Any) -> MappedFileOptions:
    return MappedFileOptions(
        name="mis", clinic_timezone="Europe/Zagreb", clinic_currency="EUR", clinic_phone_region="HR", **given
    )


@dataclass
class Read:
    """What landed and what did not."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[tuple[int, str, str]] = field(default_factory=list)
    read: int = 0
    log: ReadLog = field(default_factory=ReadLog)

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


def read(path: Path, stream: str, **given: Any) -> Read:
    source, declared, found = options(**given), TABLES[stream].stream, Read()
    rows = CONNECTOR.read(InboxFile(path), declared, source, found.log)
    for checked in check(rows, declared, PRIVACY, found.log, arrived_at=InboxFile(path).arrived_at):
        found.rows += checked.batch.to_pylist()
        found.quarantined += [(q.row_number, q.column, q.reason) for q in checked.quarantined]
        found.read += checked.rows_read
    assert found.read == len(found.rows) + len(found.quarantined)
    return found


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    os.utime(path, (ARRIVED.timestamp(), ARRIVED.timestamp()))
    return path


def visits(tmp_path: Path, *lines: str, header: str = HEADER, **given: Any) -> Read:
    path = write(tmp_path / "visits.csv", "\r\n".join((header, *lines, "")), "cp1251")
    return read(path, "visits", **{**RUSSIAN, "streams": {"visits": VISITS}, **given})


def mistakes(**given: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        options(**given)
    return [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in caught.value.errors()]


# Configuration


def test_every_conformed_table_and_reference_file_can_be_a_stream() -> None:
    assert set(TABLES) == {*INPUTS, *REFERENCES}
    for name, table in TABLES.items():
        landed = {column.name for column in table.stream.columns}
        assert {column.name for column in INPUTS.get(name) or REFERENCES[name]} <= landed
        assert table.stream.mode == (
            "report" if name == "ad_spend" else "entity" if name in INPUTS else "snapshot"
        )


def test_a_mistake_names_its_key_and_what_is_accepted() -> None:
    assert mistakes(streams={"vists": {"columns": {"visit_id": "A"}}})[0].startswith(
        "streams.vists: unknown table; did you mean visits? accepted: channel_rules, "
    )
    found = mistakes(
        streams={
            "reviews": {
                "columns": {"review_id": "A", "reviewed_at": "B", "docter": "C"},
                "defaults": {"rating": "many"},
            }
        }
    )
    assert found == [
        (
            "streams.reviews.columns.docter: unknown column; did you mean doctor? accepted: review_id, "
            "reviewed_at, rating, doctor, branch, platform, changed_at"
        ),
        "streams.reviews.defaults.rating: 'many' is not a number",
    ]


def test_what_a_table_cannot_do_without_must_be_mapped() -> None:
    assert mistakes(streams={"visits": {"columns": {"visit_id": "A"}}}) == [
        "streams.visits.columns: patient_id is required: map it, or set it under defaults",
        "streams.visits.columns: visited_at or scheduled_at is required: map it, or set it under defaults",
    ]
    assert mistakes(streams={"ad_spend": {"columns": {"spend_date": "Day", "cost_native": "Spend"}}}) == [
        "streams.ad_spend.columns: source is required: map it, or set it under defaults"
    ]


def test_values_are_checked_against_the_accepted_ones() -> None:
    columns = {"visit_id": "A", "patient_id": "B", "visited_at": "C", "status": "D"}
    [found] = mistakes(streams={"visits": {"columns": columns, "values": {"status": {"ok": "done"}}}})
    assert found.startswith("streams.visits.values.status.ok: 'done' is not accepted; accepted: booked, ")
    assert mistakes(streams={"visits": {"columns": columns, "values": {"sex": {"1": "male"}}}}) == [
        "streams.visits.values.sex: sex is not mapped under columns"
    ]


def test_an_unquoted_yes_in_yaml_is_not_taken_for_a_text() -> None:
    columns = {"appointment_id": "A", "status": "No-show"}
    mapping = {"columns": columns, "values": {"status": {True: "no_show"}}}
    [found] = mistakes(streams={"appointments": mapping})
    assert found.startswith("streams.appointments.values.status.")
    assert found.endswith("[key]: Input should be a valid string")


def test_how_files_are_written_is_checked() -> None:
    given = {"streams": {"visits": VISITS}}
    assert "unknown encoding" in mistakes(encoding="klingon", **given)[0]
    assert "strptime" in mistakes(datetime_format="dd.mm.yyyy", **given)[0]
    assert "one character" in mistakes(delimiter=";;", **given)[0]
    assert mistakes(decimal=";", **given)[0].startswith("decimal: Input should be")
    assert mistakes(colour="red", **given) == ["colour: Extra inputs are not permitted"]
    assert mistakes(streams={})[0].startswith("streams: map at least one table: ")


def test_a_source_feeds_what_its_streams_carry() -> None:
    def fed(**streams: Any) -> set[str]:
        return set(CONNECTOR.feeds_of(options(streams=streams)))

    bare = {"columns": {"visit_id": "A", "patient_id": "B", "visited_at": "C"}}
    assert fed(visits=bare) == {"visits"}
    assert fed(visits=VISITS) == {"visits", "visit_lines", "payments", "patients", "appointments"}
    assert fed(services={"columns": {"service": "A"}}) == {"services"}
    assert [s.name for s in CONNECTOR.streams(options(streams={"visits": VISITS}))] == ["visits"]


def test_a_mapping_mended_is_another_fingerprint_and_another_streams_mapping_is_not() -> None:
    stream = TABLES["visits"].stream

    def fingerprint(**given: Any) -> str:
        return CONNECTOR.fingerprint(options(**given), stream)

    first = fingerprint(streams={"visits": VISITS})
    patients = {"columns": {"patient_id": "A"}}
    assert fingerprint(streams={"visits": VISITS, "patients": patients}) == first
    assert fingerprint(streams={"visits": VISITS}, since="2026-01-01") == first
    assert fingerprint(streams={"visits": {**VISITS, "where": {}}}) != first
    assert fingerprint(streams={"visits": VISITS}, decimal=",") != first
    assert fingerprint(streams={"visits": VISITS}, timezone="Europe/Moscow") != first
    # visits then leave lines to the stream of lines
    lines = {"columns": {"visit_id": "A", "amount": "B"}}
    assert fingerprint(streams={"visits": VISITS, "visit_lines": lines}) != first


# Flat visits


def test_a_flat_visit_line_carries_patient_line_payment_and_appointment(tmp_path: Path) -> None:
    found = visits(
        tmp_path,
        "Прием;П-1;000123;01 555 0101;10.01.2026 09:30;Хорват И.;Центр;Прием ЛОР;Выполнен;1 200,50;"
        "1\u00a0000,00",
        "Анализ;П-2;000124;;10.01.2026 10:30;Хорват И.;Центр;Кровь;Выполнен;100,00;",
    )
    [row] = found.rows
    assert {name: value for name, value in row.items() if value is not None and name != "phone_keys"} == {
        "visit_id": "П-1",
        "patient_id": "000123",
        "visited_at": datetime(2026, 1, 10, 8, 30, tzinfo=UTC),
        "doctor": "Хорват И.",
        "branch": "Центр",
        "service": "Прием ЛОР",
        "status": "completed",
        "status_raw": "Выполнен",
        "billed": Decimal("1200.500000"),
        "paid": Decimal("1000.000000"),
        "line_id": "#1",
        "is_line": True,
        "is_appointment": True,
        "_row_number": 2,
    }
    assert found.log.skipped == {"where Тип": 1}
    assert found.log.unknown_columns == set()


def test_rows_of_a_visit_are_numbered_in_file_order(tmp_path: Path) -> None:
    line = "Прием;{};1;;10.01.2026 09:30;;;;Выполнен;;"
    found = visits(tmp_path, *(line.format(visit) for visit in ("a", "b", "a", "b", "a", "c")))
    assert [(row["visit_id"], row["line_id"]) for row in found.rows] == [
        ("a", "#1"),
        ("b", "#1"),
        ("a", "#2"),
        ("b", "#2"),
        ("a", "#3"),
        ("c", "#1"),
    ]


def test_a_made_number_never_meets_one_of_the_export(tmp_path: Path) -> None:
    path = write(tmp_path / "v.csv", "id,line,card,at,sum\nV1,1,P,2026-01-10,100\nV1,,P,2026-01-10,50\n")
    columns = {"visit_id": "id", "line_id": "line", "patient_id": "card", "visited_at": "at", "amount": "sum"}
    found = read(path, "visits", streams={"visits": {"columns": columns}})
    assert len(set(found.column("line_id"))) == 2


def test_a_corrected_amount_of_a_cost_replaces_the_old_line(tmp_path: Path) -> None:
    mapping = {"columns": {"channel": "channel", "starts_on": "since", "amount": "sum"}}
    ids = []
    for amount in ("1000", "1200"):
        path = write(tmp_path / f"{amount}.csv", f"channel,since,sum\noffline,2025-01-01,{amount}\n")
        ids += read(path, "other_costs", streams={"other_costs": mapping}).column("cost_id")
    assert ids[0] == ids[1]


def test_a_status_nobody_mapped_is_unknown_and_keeps_its_text(tmp_path: Path) -> None:
    line = "Прием;{};1;;10.01.2026 09:30;;;;{};;"
    texts = ["выполнен ", "Неявка", "Перенос", "", "Completed", "arrived"]
    found = visits(tmp_path, *(line.format(i, text) for i, text in enumerate(texts)))
    assert [(row["status"], row["status_raw"]) for row in found.rows] == [
        ("completed", "выполнен"),
        ("no_show", "Неявка"),
        ("unknown", "Перенос"),
        ("unknown", None),
        ("completed", "Completed"),
        ("arrived", "arrived"),
    ]


def test_visits_without_a_status_column_took_place(tmp_path: Path) -> None:
    path = write(tmp_path / "v.csv", "id,patient,at\n1,2,2026-01-10 09:30\n")
    mapping = {"columns": {"visit_id": "id", "patient_id": "patient", "visited_at": "at"}}
    [row] = read(path, "visits", streams={"visits": mapping}).rows
    assert (row["status"], row["status_raw"], row["is_appointment"], row["is_line"]) == (
        "completed",
        None,
        False,
        False,
    )


def test_a_completed_visit_in_the_future_is_refused_and_a_booked_one_is_not(tmp_path: Path) -> None:
    found = visits(
        tmp_path,
        "Прием;1;1;;05.03.2026 09:30;;;;Выполнен;;",
        "Прием;2;1;;05.03.2026 09:30;;;;booked;;",
        "Прием;3;1;;02.03.2026 10:00;;;;Выполнен;;",
        "Прием;4;1;;05.03.2036 09:30;;;;booked;;",
        "Прием;5;1;;31.12.9999 09:30;;;;Выполнен;;",
    )
    assert found.column("visit_id") == ["2", "3"]
    assert [(row, column) for row, column, _ in found.quarantined] == [
        (2, "visited_at"),
        (5, "visited_at"),
        (6, "visited_at"),
    ]
    assert "in the future" in found.quarantined[0][2]
    assert found.quarantined[2][2] == "has the absurd year 9999"


def test_a_row_that_was_only_booked_stands_at_its_planned_time(tmp_path: Path) -> None:
    path = write(
        tmp_path / "v.csv",
        "id,patient,came,planned,booked,status\n"
        "1,2,,2026-01-10 09:30,2026-01-02,no_show\n"
        "2,2,2026-01-11 09:40,2026-01-11 09:30,2026-01-02 08:15,completed\n",
    )
    mapping = {
        "columns": {
            "visit_id": "id",
            "patient_id": "patient",
            "visited_at": "came",
            "scheduled_at": "planned",
            "booked_at": "booked",
            "status": "status",
        }
    }
    first, second = read(path, "visits", streams={"visits": mapping}).rows
    assert first["visited_at"] == first["scheduled_at"] == datetime(2026, 1, 10, 8, 30, tzinfo=UTC)
    assert (first["booked_at"], first["booked_at_is_date"]) == (
        datetime(2026, 1, 2, 22, 59, 59, 999999, tzinfo=UTC),
        True,
    )
    assert second["visited_at"] == datetime(2026, 1, 11, 8, 40, tzinfo=UTC)
    assert second["booked_at_is_date"] is False


def test_where_appointments_have_a_stream_of_their_own_only_a_visit_naming_one_tells_of_it(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path / "v.csv", "id,p,at,status,app\n1,2,2026-01-10,completed,A7\n2,2,2026-01-11,booked,\n"
    )
    mapping = {
        "columns": {
            "visit_id": "id",
            "patient_id": "p",
            "visited_at": "at",
            "status": "status",
            "appointment_id": "app",
        }
    }
    alone = read(path, "visits", streams={"visits": mapping})
    assert alone.column("is_appointment") == [True, True]
    streams = {"visits": mapping, "appointments": {"columns": {"appointment_id": "x"}}}
    assert read(path, "visits", streams=streams).column("is_appointment") == [True, False]


def test_only_the_year_of_a_birth_date_lands(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv", "id;born;sex\n1;17.05.1980;Ж\n2;1975;м\n3;01.02.45;\n4;;female\n5;03.04.15;x\n"
    )
    mapping = {"columns": {"patient_id": "id", "birth_date": "born", "sex": "sex"}}
    found = read(path, "patients", streams={"patients": mapping}, date_format=["%d.%m.%Y", "%d.%m.%y"])
    assert found.column("birth_year") == [1980, 1975, 1945, None, 2015]
    assert found.column("sex") == ["female", "male", None, "female", None]
    assert found.log.notes == ["sex: texts that are not mapped under values; landed without them (1 rows)"]


def test_the_clinics_diagnosis_lands_as_three_characters_of_a_code_and_never_as_text(tmp_path: Path) -> None:
    lines = ["J35.0 Хронический тонзиллит", "Н66.9", "Острый отит", "j03", ""]
    rows = "".join(f"{i};1;2026-01-10;{dx}\n" for i, dx in enumerate(lines))
    path = write(tmp_path / "v.csv", f"id;p;at;dx\n{rows}")
    mapping = {"columns": {"visit_id": "id", "patient_id": "p", "visited_at": "at", "diagnosis": "dx"}}
    found = read(path, "visits", streams={"visits": mapping})
    assert found.column("diagnosis") == ["J35", "H66", None, "J03", None]


# Layout of the file


def test_titles_above_and_totals_within_the_table_are_no_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path / "report.csv",
        "Отчёт по приёмам;;;;\r\nза январь 2026;;;;\r\n;;;;\r\n"
        "№\u00a0Приема ;№ КАРТЫ;Дата приема;Сумма;Примечание\r\n"
        "Филиал Центр;;;;\r\n"
        "1;7;10.01.2026;100,50;звонить вечером\r\n"
        ";;;;\r\n"
        "№\u00a0Приема ;№ КАРТЫ;Дата приема;Сумма;Примечание\r\n"
        "2;7;11.01.2026;200,00;\r\n"
        ";;;300,50;\r\n"
        "Итого;;;300,50;\r\n",
    )
    mapping = {
        "columns": {
            "visit_id": "№ приема",
            "patient_id": "№ карты",
            "visited_at": "дата приема",
            "billed": "Сумма",
        }
    }
    found = read(path, "visits", streams={"visits": mapping}, date_format="%d.%m.%Y", decimal=",")
    assert found.column("visit_id") == ["1", "2"]
    assert found.log.skipped == {
        "preamble": 3,
        "group row": 1,
        "blank line": 1,
        "repeated header": 1,
        "total row": 2,
    }
    assert found.log.control_totals == {("total", "billed"): Decimal("300.50")}
    assert found.log.unknown_columns == {"Примечание"}


def test_a_row_without_its_id_is_quarantined_not_taken_for_a_total(tmp_path: Path) -> None:
    found = visits(tmp_path, "Прием;;17;;10.01.2026 09:30;Хорват;;;Выполнен;100,00;")
    assert found.quarantined == [(2, "visit_id", "is empty but required")]
    assert found.log.skipped == {}


def test_a_line_with_more_cells_than_the_header_has_slipped(tmp_path: Path) -> None:
    found = visits(
        tmp_path,
        "Прием;1;1;;10.01.2026 09:30;Хорват; Иван;Центр;Прием;Выполнен;100,00;100,00",
        "Прием;2;1;;10.01.2026 09:30;Хорват;Центр;Прием;Выполнен;100,00;100,00;;",
        "Прием;3;1;;10.01.2026 09:30;Хорват",
    )
    assert found.column("visit_id") == ["2", "3"]
    assert found.quarantined == [(2, "", "has more cells than the header: a delimiter in an unquoted text?")]


def test_several_lines_of_text_within_quotes_are_one_row(tmp_path: Path) -> None:
    found = visits(tmp_path, 'Прием;1;1;;10.01.2026 09:30;"Хорват ""И.""\r\nврач";Центр;;Выполнен;;')
    assert found.column("doctor") == ['Хорват "И."\r\nврач']


def test_a_workbook_keeps_ids_whole_and_its_dates_and_times(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    other = book.active
    other.title = "Сводка"
    other.append(["ничего"])
    sheet = book.create_sheet("Приемы")
    sheet.append(["Выгрузка", None, None])
    sheet.append(["id", "patient", "day", "clock", "paid", "first", "phone", "booked"])
    booked = datetime(2026, 1, 2)
    sheet.append([1001, 55.0, datetime(2026, 1, 10), time(9, 30), 100.1, True, 38515550101, booked])
    sheet.append(["1002", "0056", "2026-01-11", None, "200", "нет", "+38515550102, +38515550103", 46024.5])
    sheet.append([None] * 8)
    path = tmp_path / "visits.xlsx"
    book.save(path)
    os.utime(path, (ARRIVED.timestamp(), ARRIVED.timestamp()))
    mapping = {
        "sheet": "Приемы",
        "columns": {
            "visit_id": "id",
            "patient_id": "patient",
            "visited_at": ["day", "clock"],
            "paid": "paid",
            "clinic_says_primary": "first",
            "phone": "phone",
            "booked_at": "booked",
        },
    }
    first, second = read(path, "visits", streams={"visits": mapping}).rows
    assert (first["visit_id"], first["patient_id"], second["visit_id"], second["patient_id"]) == (
        "1001",
        "55",
        "1002",
        "0056",
    )
    assert first["visited_at"] == datetime(2026, 1, 10, 8, 30, tzinfo=UTC)
    assert second["visited_at"] == datetime(2026, 1, 11, 22, 59, 59, 999999, tzinfo=UTC)
    assert (first["paid"], second["paid"]) == (Decimal("100.100000"), Decimal("200.000000"))
    assert (first["clinic_says_primary"], second["clinic_says_primary"]) == (True, False)
    assert first["phone_keys"] == [PRIVACY.phone_key("+38515550101")]
    assert second["phone_keys"] == [PRIVACY.phone_key("+38515550102"), PRIVACY.phone_key("+38515550103")]
    assert (first["booked_at_is_date"], second["booked_at_is_date"]) == (True, False)
    with pytest.raises(FileRefused, match="no sheet 'Лист9'; it has Сводка, Приемы"):
        read(path, "visits", streams={"visits": {**mapping, "sheet": "Лист9"}})


def test_several_headings_for_one_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv",
        "series,no,mobile,home,source,source2\nA,1,+38515550101,+38515550102,,poster\nA,2,,,friend,poster\n,,,,,x\n",
    )
    mapping = {
        "columns": {
            "patient_id": ["series", "no"],
            "phone": ["mobile", "home"],
            "self_reported_source": ["source", "source2"],
        }
    }
    found = read(path, "patients", streams={"patients": mapping})
    assert found.column("patient_id") == ["A:1", "A:2"]
    assert found.column("phone_keys") == [
        [PRIVACY.phone_key("+38515550101"), PRIVACY.phone_key("+38515550102")],
        None,
    ]
    assert found.column("self_reported_source") == ["poster", "friend"]


def test_defaults_fill_empty_cells_and_prefixes_are_put_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,visitor,status\n1,12.34,\n2,ga:56.78,confirmed\n3,,no_show\n")
    mapping = {
        "columns": {"appointment_id": "id", "visitor_id": "visitor", "status": "status"},
        "defaults": {"branch": "Centre", "status": "booked"},
        "prefixes": {"visitor_id": "ga:"},
    }
    found = read(path, "appointments", streams={"appointments": mapping})
    assert found.column("visitor_id") == ["ga:12.34", "ga:56.78", None]
    assert found.column("status") == ["booked", "confirmed", "no_show"]
    assert set(found.column("branch")) == {"Centre"}


def test_an_empty_cell_can_have_a_meaning(tmp_path: Path) -> None:
    path = write(tmp_path / "v.csv", "id,p,at,first\n1,1,2026-01-10,V\n2,1,2026-01-11,\n")
    columns = {"visit_id": "id", "patient_id": "p", "visited_at": "at", "clinic_says_primary": "first"}
    plain = read(path, "visits", streams={"visits": {"columns": columns}})
    assert plain.column("clinic_says_primary") == [True, None]
    mapped = {"columns": columns, "values": {"clinic_says_primary": {"": False}}}
    assert read(path, "visits", streams={"visits": mapped}).column("clinic_says_primary") == [True, False]


# Other tables


def test_a_landing_page_lands_without_its_query_and_its_tags_fill_their_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.csv",
        "id,at,kind,page,ref,campaign\n"
        "1,2026-01-10 09:30,chat,"
        "https://Clinic.example/ent?utm_source=Google&utm_campaign=Brand&gclid=Ab1_x&name=Ana,"
        "https://www.google.com/search?q=ana+horvat,\n"
        "2,2026-01-10 09:31,form,/kids,,Own\n",
    )
    mapping = {
        "columns": {
            "contact_id": "id",
            "contacted_at": "at",
            "contact_kind": "kind",
            "landing_path": "page",
            "referrer_host": "ref",
            "utm_campaign": "campaign",
        }
    }
    first, second = read(path, "contacts", streams={"contacts": mapping}).rows
    assert (first["landing_path"], first["referrer_host"]) == ("/ent", "www.google.com")
    assert (first["utm_source"], first["utm_campaign"], first["click_id_type"], first["click_id"]) == (
        "google",
        "Brand",
        "gclid",
        "Ab1_x",
    )
    assert (second["landing_path"], second["utm_campaign"], second["utm_source"]) == ("/kids", "Own", None)
    assert "ana" not in str([first, second]).lower()


def test_calls_with_durations_marks_and_own_numbers(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.csv",
        "id;day;time;from;to;talk;taken;way\n"
        "1;10.01.2026;09:30;+385 1 555 0101;01 555 0100;1:35;+;входящий\n"
        "2;10.01.2026;09:31:07;anonymous;01 555 0100;0:00:00;-;входящий\n"
        "3;10.01.2026;09:32;;;;+;transfer\n",
    )
    mapping = {
        "columns": {
            "call_id": "id",
            "called_at": ["day", "time"],
            "phone": "from",
            "tracking_number": "to",
            "talk_s": "talk",
            "is_answered": "taken",
            "direction": "way",
        },
        "values": {"direction": {"Входящий": "inbound"}},
    }
    found = read(path, "calls", streams={"calls": mapping}, date_format="%d.%m.%Y")
    first, second = found.rows
    assert (first["called_at"], second["called_at"]) == (
        datetime(2026, 1, 10, 8, 30, tzinfo=UTC),
        datetime(2026, 1, 10, 8, 31, 7, tzinfo=UTC),
    )
    assert (first["talk_s"], first["is_answered"], first["direction"]) == (95, True, "inbound")
    assert (second["talk_s"], second["is_answered"], second["phone_key"]) == (0, False, None)
    assert first["tracking_number"] == "+38515550100"
    assert found.quarantined == [
        (4, "direction", "is none of inbound, outbound, callback; map it under values")
    ]


def test_costs_without_an_id_are_known_by_their_content(tmp_path: Path) -> None:
    head = "channel,from,to,sum\n"
    lines = ["offline,2026-01-01,2026-01-31,100\n", "event,2026-01-01,,50\n"]
    mapping = {"columns": {"channel": "channel", "starts_on": "from", "ends_on": "to", "amount": "sum"}}

    def ids(*order: str) -> list[str]:
        path = write(tmp_path / "costs.csv", head + "".join(order))
        return read(path, "other_costs", streams={"other_costs": mapping}).column("cost_id")

    first, second = ids(*lines)
    assert ids(*reversed(lines)) == [second, first]
    # the same line twice in one file are two costs
    twice = ids(lines[0], lines[0])
    assert twice == [first, f"{first}:2"]


def test_a_negative_cost_of_an_ad_platform_is_refused_and_a_credit_note_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", "day,spend\n2026-01-01,-5\n2026-01-02,-0.00\n2026-01-03,5\n")
    mapping = {"columns": {"spend_date": "day", "cost_native": "spend"}, "defaults": {"source": "facebook"}}
    found = read(path, "ad_spend", streams={"ad_spend": mapping})
    assert found.quarantined == [(2, "cost_native", "is negative")]
    assert found.column("cost_native") == [Decimal(0), Decimal(5)]
    costs = {"columns": {"starts_on": "day", "amount": "spend"}}
    assert read(path, "other_costs", streams={"other_costs": costs}).column("amount")[0] == Decimal(-5)


def test_the_report_level_follows_from_what_is_mapped(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", "day,spend,campaign,key\n2026-01-01,5,a,b\n")
    columns = {"spend_date": "day", "cost_native": "spend"}

    def level(**more: str) -> Any:
        mapping = {"columns": {**columns, **more}, "defaults": {"source": "Baidu"}}
        [row] = read(path, "ad_spend", streams={"ad_spend": mapping}, account="main", currency="CNY").rows
        assert (row["source"], row["account"], row["currency"], row["tax_basis"]) == (
            "baidu",
            "main",
            "CNY",
            "unknown",
        )
        return row["report_level"]

    assert level() == "account"
    assert level(campaign_name="campaign") == "campaign"
    assert level(campaign_name="campaign", keyword="key") == "keyword"


def test_payer_types_that_nobody_mapped_are_quarantined_lest_points_count_as_money(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv", "id,at,sum,how\n1,2026-01-10,5,Card\n2,2026-01-10,6,Бонусы\n3,2026-01-10,7,ДМС\n"
    )
    mapping = {
        "columns": {"payment_id": "id", "paid_at": "at", "amount": "sum", "payer_type": "how"},
        "values": {"payer_type": {"бонусы": "loyalty"}},
    }
    found = read(path, "payments", streams={"payments": mapping})
    assert found.column("payer_type") == ["card", "loyalty"]
    [(line, column, reason)] = found.quarantined
    assert (line, column) == (4, "payer_type")
    assert reason.endswith("map it under values")


def test_reference_tables_through_a_mapped_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        "Номер,Канал,с\n01 555 0100,offline,2026-01-01\nнет,offline,\n01 555 0101,radio,\n",
    )
    mapping = {"columns": {"number": "Номер", "channel": "Канал", "valid_from": "с"}}
    found = read(path, "tracking_numbers", streams={"tracking_numbers": mapping})
    [row] = found.rows
    assert (row["number"], row["phone_key"], row["valid_from"]) == (
        "+38515550100",
        PRIVACY.phone_key("+38515550100"),
        date(2026, 1, 1),
    )
    assert [(line, column) for line, column, _ in found.quarantined] == [(3, "number"), (4, "channel")]
    services = write(tmp_path / "s.csv", "Услуга;Цена;Доля\nПриём;1 200,50;0,35\n")
    mapping = {"columns": {"service": "Услуга", "list_price": "Цена", "margin_share": "Доля"}}
    [row] = read(services, "services", streams={"services": mapping}, decimal=",").rows
    assert (row["service"], row["list_price"], row["margin_share"]) == ("Приём", Decimal("1200.5"), 0.35)


def test_the_sources_own_change_time_lands_as_the_version(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "id,changed\n1,2026-01-10T09:30:00+01:00\n2,\n")
    mapping = {"columns": {"patient_id": "id", "changed_at": "changed"}}
    found = read(path, "patients", streams={"patients": mapping})
    assert found.column("changed_at") == [datetime(2026, 1, 10, 8, 30, tzinfo=UTC), None]
    assert TABLES["patients"].stream.version == "changed_at"


# Bad input


@pytest.mark.parametrize("content", ["", "\r\n", ";;;\r\n\r\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(FileRefused, match=r"v\.csv: is empty; export it again"):
        read(write(tmp_path / "v.csv", content), "visits", **RUSSIAN, streams={"visits": VISITS})


def test_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    found = visits(tmp_path)
    assert (found.read, found.log.skipped) == (0, {})


def test_a_missing_required_column_is_named_with_what_the_file_has(tmp_path: Path) -> None:
    header = HEADER.replace("№ карты;", "")
    with pytest.raises(FileRefused) as caught:
        visits(tmp_path, "Прием;1;;10.01.2026 09:30;;;;Выполнен;;", header=header)
    assert str(caught.value) == (
        "visits.csv: the column '№ карты' is missing; of the mapped ones it has 'Тип', '№ приема', "
        "'Телефон', "
        "'Дата приема', 'Врач', 'Филиал', 'Услуга', 'Статус', 'Сумма', 'Оплачено'"
    )


def test_the_column_of_a_filter_is_required_too(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="the column 'Тип' is missing"):
        visits(tmp_path, header=HEADER.replace("Тип;", ""))


def test_a_missing_optional_column_is_noted(tmp_path: Path) -> None:
    header = HEADER.replace("Телефон;", "")
    found = visits(tmp_path, "Прием;1;1;10.01.2026 09:30;;;;Выполнен;;", header=header)
    assert len(found.rows) == 1
    assert found.log.notes == ["no column 'Телефон' in the file; phone lands without it"]


def test_an_unknown_column_is_reported_and_does_not_land(tmp_path: Path) -> None:
    found = visits(
        tmp_path, "Прием;1;1;;10.01.2026 09:30;;;;Выполнен;;;Ивана Хорват", header=f"{HEADER};ФИО пациента"
    )
    assert found.log.unknown_columns == {"ФИО пациента"}
    assert "Ивана" not in str(found)


def test_the_wrong_encoding_finds_no_header_and_quotes_nothing(tmp_path: Path) -> None:
    text = f"{HEADER}\r\nПрием;1;1;;10.01.2026 09:30;Хорват;;;Выполнен;;\r\n"
    path = write(tmp_path / "v.csv", text, "utf-8")
    with pytest.raises(FileRefused) as caught:
        read(path, "visits", **RUSSIAN, streams={"visits": VISITS})
    assert str(caught.value) == (
        "v.csv: no header in its first 2 lines: 'Тип' and '№ приема' and '№ карты' and 'Дата приема' not "
        "found; check streams.visits.columns and the encoding (cp1251)"
    )
    path = write(tmp_path / "v.csv", text, "cp1251")
    with pytest.raises(FileRefused, match="is not utf-8 text"):
        read(path, "visits", **{**RUSSIAN, "encoding": "utf-8"}, streams={"visits": VISITS})
    # not configured: found out
    detected = read(path, "visits", **{**RUSSIAN, "encoding": None}, streams={"visits": VISITS})
    assert detected.column("doctor") == ["Хорват"]


def test_a_file_without_a_header_does_not_show_its_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "v.csv", "Прием;1;Ивана Хорват;+38515550101\r\n")
    with pytest.raises(FileRefused) as caught:
        read(path, "visits", **{**RUSSIAN, "encoding": "utf-8"}, streams={"visits": VISITS})
    assert "Хорват" not in str(caught.value)
    assert "555" not in str(caught.value)


def test_rows_with_unreadable_values_are_quarantined_one_by_one(tmp_path: Path) -> None:
    found = visits(
        tmp_path,
        "Прием;1;1;;2026-01-10 09:30;;;;Выполнен;;",
        "Прием;2;1;;32.01.2026 09:30;;;;Выполнен;;",
        "Прием;3;1;;10.01.0026 09:30;;;;Выполнен;;",
        "Прием;4;1;;10.01.2026 09:30;;;;Выполнен;12 тыс.;",
        "Прием;5;2,98725E+13;;10.01.2026 09:30;;;;Выполнен;;",
        "Прием;1,23E+10;1;;10.01.2026 09:30;;;;Выполнен;;",
        "Прием;6;1;;;;;;Выполнен;;",
        "Прием;7;1;;10.01.2026 09:30;;;;Выполнен;;",
    )
    assert found.column("visit_id") == ["7"]
    assert found.quarantined == [
        (2, "visited_at", "is not a date in the format %d.%m.%Y %H:%M"),
        (3, "visited_at", "is not a date in the format %d.%m.%Y %H:%M"),
        (4, "visited_at", "has the absurd year 26"),
        (5, "billed", "is not a number"),
        (6, "patient_id", "was ruined by a spreadsheet (1,23E+10); export it as text"),
        (7, "visit_id", "was ruined by a spreadsheet (1,23E+10); export it as text"),
        (8, "visited_at", "is empty but required"),
    ]


def test_a_ruined_phone_is_dropped_and_noted_and_the_row_lands(tmp_path: Path) -> None:
    found = visits(tmp_path, "Прием;1;1;7,9161E+10;10.01.2026 09:30;;;;Выполнен;;")
    assert found.column("phone_keys") == [None]
    assert any("ruined by a spreadsheet" in note for note in found.log.notes)


def test_a_file_cut_short_within_quotes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cut short or misquoted"):
        visits(tmp_path, 'Прием;1;1;;10.01.2026 09:30;"Хорват')


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n"), max_size=8),
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12),
            st.text("0123456789.: ", max_size=16),
            st.text("0123456789,.- ()₽E+", max_size=10),
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_cells_hold_every_line_is_accounted_for(
    tmp_path: Path, rows: list[tuple[str, str, str, str]]
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";")
    writer.writerow(["id", "patient", "at", "sum"])
    writer.writerows(rows)
    path = write(tmp_path / "v.csv", text.getvalue())
    mapping = {"columns": {"visit_id": "id", "patient_id": "patient", "visited_at": "at", "billed": "sum"}}
    found = read(
        path,
        "visits",
        streams={"visits": mapping},
        datetime_format="%d.%m.%Y %H:%M",
        decimal=",",
        delimiter=";",
        encoding="utf-8",
    )
    assert found.read + sum(found.log.skipped.values()) == len(rows)


# Through the landing zone


def test_a_newer_file_replaces_all_lines_of_the_visits_it_carries(tmp_path: Path) -> None:
    config = tmp_path / "clinic.yaml"
    config.write_text(
        """
        clinic: {name: Test, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}
        sources:
          mis:
            kind: mapped_file
            streams:
              visits: {columns: {visit_id: id, patient_id: p, visited_at: at, service: what, amount: sum}}
        """,
        encoding="utf-8",
    )
    clinic = load_clinic(config, tmp_path / "data")
    landing = Landing(clinic, PRIVACY)
    landing.prepare()
    inbox = tmp_path / "data/inbox/mis/visits"
    old = "id,p,at,what,sum\n1,7,2026-01-10,Exam,50\n2,7,2026-01-11,Exam,50\n1,7,2026-01-10,X-ray,30\n"
    new = "id,p,at,what,sum\n1,7,2026-01-12,Exam,45\n3,8,2026-01-12,Exam,50\n"
    write(inbox / "old.csv", old)
    # content again in another file, and the correction, a day later
    write(inbox / "copy.csv", old)
    later = ARRIVED.timestamp() + 86_400
    os.utime(write(inbox / "new.csv", new), (later, later))
    records = {record.file: record for record in landing.land("mapped_file", "visits")}
    assert {name: record.status for name, record in records.items()} == {
        "copy.csv": "landed",
        "old.csv": "skipped",
        "new.csv": "landed",
    }
    assert (records["new.csv"].rows_landed, records["copy.csv"].rows_landed) == (2, 1)
    folder = tmp_path / "data/landing/mapped_file/visits/source=mis"
    live = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    rows = [row for name in live for row in pq.read_table(folder / name, partitioning=None).to_pylist()]
    assert sorted((row["visit_id"], row["line_id"], row["service"], row["amount"]) for row in rows) == [
        ("1", "#1", "Exam", Decimal(45)),
        ("2", "#1", "Exam", Decimal(50)),
        ("3", "#1", "Exam", Decimal(50)),
    ]
    assert landing.land("mapped_file", "visits") == []


# Real files

SYNTHEA_CLASSES = {
    "wellness": "outpatient",
    "ambulatory": "outpatient",
    "outpatient": "outpatient",
    "urgentcare": "outpatient",
    "emergency": "outpatient",
    "inpatient": "inpatient",
}


def test_synthea_money_is_the_payments_column_of_payment_rows_only(shared: Path) -> None:
    path = shared / "emr_mis/synthea_csv/claims_transactions.csv"
    mapping = {
        "columns": {
            "payment_id": "id",
            "visit_id": "appointmentid",
            "patient_id": "patientid",
            "paid_at": "fromdate",
            "amount": "payments",
            "payer_type": "method",
        },
        "values": {
            "payer_type": {
                "COPAY": "cash",
                "CASH": "cash",
                "CC": "card",
                "CHECK": "transfer",
                "ECHECK": "transfer",
            }
        },
        "where": {"type": "PAYMENT"},
    }
    found = read(path, "payments", streams={"payments": mapping})
    with path.open(encoding="utf-8", newline="") as stream:
        expected = [row for row in csv.DictReader(stream) if row["TYPE"] == "PAYMENT"]
    assert (found.read, len(found.rows)) == (1843, 1843)
    assert found.log.skipped == {"where type": 5228 - 1843}
    assert sum(found.column("amount")) == sum(Decimal(row["PAYMENTS"]) for row in expected)
    assert sum(found.column("amount")) == Decimal("1103503.95")
    assert Counter(found.column("payment_id")) == Counter(row["ID"] for row in expected)
    assert None not in found.column("payer_type")


def test_synthea_encounters_and_patients(shared: Path) -> None:
    folder = shared / "emr_mis/synthea_csv"
    mapping = {
        "columns": {
            "visit_id": "Id",
            "patient_id": "PATIENT",
            "visited_at": "START",
            "doctor": "PROVIDER",
            "branch": "ORGANIZATION",
            "care_setting": "ENCOUNTERCLASS",
        },
        "values": {"care_setting": SYNTHEA_CLASSES},
    }
    found = read(folder / "encounters.csv", "visits", streams={"visits": mapping})
    assert len(found.rows) == 604
    assert Counter(found.column("care_setting")) == {"outpatient": 593, "inpatient": 11}
    assert set(found.column("status")) == {"completed"}
    assert set(found.column("line_id")) == {"#1"}
    assert found.rows[0]["visited_at"] == datetime(2023, 1, 27, 16, 17, 47, tzinfo=UTC)
    patients = {"columns": {"patient_id": "id", "birth_date": "birthdate", "sex": "gender"}}
    found = read(folder / "patients.csv", "patients", streams={"patients": patients})
    assert len(found.rows) == 27
    assert found.rows[0] | {"_row_number": 0} == {
        "patient_id": "3edac2e3-d223-6fae-d515-daf96ef6bc76",
        "phone_keys": None,
        "email_keys": None,
        "birth_year": 2014,
        "sex": "male",
        "registered_at": None,
        "self_reported_source": None,
        "merged_into": None,
        "changed_at": None,
        "_row_number": 0,
    }
    assert {"SSN", "FIRST", "LAST", "ADDRESS"} <= found.log.unknown_columns


def test_the_facebook_campaign_set(shared: Path) -> None:
    path = shared / "ad_spend/meta/kag/KAG_conversion_data_with_date.csv"
    mapping = {
        "columns": {
            "spend_date": "Date",
            "campaign_id": "xyz_campaign_id",
            "ad_group": "fb_campaign_id",
            "impressions": "Impressions",
            "clicks": "Clicks",
            "cost_native": "Spent",
        },
        "defaults": {"source": "facebook", "report_level": "ad", "currency": "USD", "account": "kag"},
    }
    found = read(path, "ad_spend", streams={"ad_spend": mapping}, date_format="%d-%m-%Y")
    assert (found.read, len(found.rows)) == (1143, 1143)
    assert sum(found.column("impressions")) == 213_434_828
    assert sum(found.column("clicks")) == 38_165
    assert sum(found.column("cost_native")) == Decimal("58705.229966")
    days = found.column("spend_date")
    assert (min(days), max(days)) == (date(2023, 8, 1), date(2023, 8, 31))
    assert Counter(found.column("campaign_id")) == {"1178": 625, "936": 464, "916": 54}
    assert {(row["source"], row["report_level"], row["currency"]) for row in found.rows} == {
        ("facebook", "ad", "USD")
    }


def test_the_no_show_set(shared: Path) -> None:
    path = shared / "emr_mis/no_show/KaggleV2-May-2016.subset2999.csv"
    columns = {
        "appointment_id": "AppointmentID",
        "booked_at": "ScheduledDay",
        "scheduled_at": "AppointmentDay",
        "status": "No-show",
    }
    given: dict[str, Any] = {
        "timezone": "America/Sao_Paulo",
        "datetime_format": ["%Y-%m-%dT00:00:00Z", "%Y-%m-%dT%H:%M:%SZ"],
    }
    values = {"status": {"Yes": "no_show", "No": "completed"}}
    streams = {"appointments": {"columns": columns, "values": values}}
    found = read(path, "appointments", streams=streams, **given)
    assert Counter(found.column("status")) == {"completed": 2411, "no_show": 588}
    assert len(set(found.column("appointment_id"))) == 2999
    # the day of the appointment is a day: bookings of the same morning are not after it
    assert set(found.column("scheduled_at")) == {datetime(2016, 4, 30, 2, 59, 59, 999999, tzinfo=UTC)}
    assert all(row["booked_at"] <= row["scheduled_at"] for row in found.rows)
    assert not any(found.column("booked_at_is_date"))
    # patients' numbers were ruined by a spreadsheet: those rows say so, and none lands under a false patient
    with_patients = {"columns": {**columns, "patient_id": "PatientId"}, "values": values}
    ruined = read(path, "appointments", streams={"appointments": with_patients}, **given)
    assert Counter((column, reason.split(" (")[0]) for _, column, reason in ruined.quarantined) == {
        ("patient_id", "was ruined by a spreadsheet"): 2840
    }
    assert len(ruined.rows) == 159
