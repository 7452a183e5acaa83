"""The clinic's cost sheet: amounts and dates as people write them, and lines without an id."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.cost_sheet import CONNECTOR
from connectors.errors import FileRefused
from tests.unit.vendor_files import Read, options, read

HEAD = "cost_id,channel,source,campaign,starts_on,ends_on,amount,currency\n"


def sheet(tmp_path: Path, content: str | bytes, name: str = "costs.csv", **given_options: Any) -> Read:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, **given_options)


def amounts(found: Read) -> list[Decimal]:
    return [row["amount"] for row in found.landed]


def test_a_line_lands_as_written(tmp_path: Path) -> None:
    found = sheet(tmp_path, HEAD + "c-1,organic_search,Agency,SEO 2024,2024-01-01,2024-01-31,1000.00,eur\n")
    assert {k: v for k, v in found.landed[0].items() if k != "_row_number"} == {
        "cost_id": "c-1",
        "channel": "organic_search",
        "source": "agency",
        "campaign": "SEO 2024",
        "starts_on": date(2024, 1, 1),
        "ends_on": date(2024, 1, 31),
        "amount": Decimal(1000),
        "currency": "EUR",
    }


def test_only_start_and_amount_are_needed_in_any_order(tmp_path: Path) -> None:
    row = sheet(tmp_path, "Amount , STARTS_ON\n12.50,2024-01-05\n").landed[0]
    assert (row["starts_on"], row["ends_on"], row["amount"]) == (
        date(2024, 1, 5),
        date(2024, 1, 5),
        Decimal("12.5"),
    )
    assert (row["currency"], row["channel"]) == ("EUR", None)


def test_the_sources_currency_comes_before_the_clinics(tmp_path: Path) -> None:
    text = HEAD + "c,,,,2024-01-01,,5.00,\nd,,,,2024-01-01,,5.00,GBP\n"
    found = sheet(tmp_path, text, currency="USD")
    assert [row["currency"] for row in found.landed] == ["USD", "GBP"]


def test_a_credit_note_is_negative(tmp_path: Path) -> None:
    assert amounts(sheet(tmp_path, HEAD + "c,,,,2024-01-01,,-250.00,EUR\n")) == [Decimal(-250)]


def test_future_periods_are_contracts_not_mistakes(tmp_path: Path) -> None:
    assert len(sheet(tmp_path, HEAD + "c,,,,2030-06-01,2031-05-31,1200.00,EUR\n").landed) == 1


# --- amounts ---


@pytest.mark.parametrize(
    ("text", "decimal", "amount"),
    [
        ("1234.5", None, "1234.5"),
        ("1234,5", None, "1234.5"),
        ("1.234,50", None, "1234.5"),
        ("1,234.50", None, "1234.5"),
        ("1.234.567", None, "1234567"),
        ("1,234,567", None, "1234567"),
        ("1 234,50", None, "1234.5"),
        ("1\u00a0234.50", None, "1234.5"),
        ("1.234", ",", "1234"),
        ("1.234", ".", "1.234"),
        ("1,234", ".", "1234"),
        ("€ 1.234,50", None, "1234.5"),
    ],
)
def test_amounts_as_people_write_them(tmp_path: Path, text: str, decimal: str | None, amount: str) -> None:
    found = sheet(tmp_path, HEAD + f'c,,,,2024-01-01,,"{text}",EUR\n', decimal=decimal)
    assert amounts(found) == [Decimal(amount)]


@pytest.mark.parametrize(
    "text", ["1.234", "1,234", "-12.345", "about 100", "12.34.56", "1,2,3", "12 EUR net"]
)
def test_an_amount_that_could_be_two_or_none_is_quarantined(tmp_path: Path, text: str) -> None:
    found = sheet(tmp_path, HEAD + f'c,,,,2024-01-01,,"{text}",EUR\nd,,,,2024-01-01,,1.00,EUR\n')
    assert [q.column for q in found.quarantined] == ["amount"]
    assert amounts(found) == [Decimal(1)]


def test_a_line_without_an_amount_is_quarantined(tmp_path: Path) -> None:
    assert sheet(tmp_path, HEAD + "c,,,,2024-01-01,,,EUR\n").reasons == ["amount: is empty but required"]


@given(
    cents=st.integers(min_value=-(10**10), max_value=10**10),
    grouping=st.sampled_from(["", ",", ".", " ", "'", "\u202f"]),
    mark=st.sampled_from([",", "."]),
)
def test_an_amount_to_the_cent_is_read_right_whatever_its_marks(
    tmp_path_factory: pytest.TempPathFactory, cents: int, grouping: str, mark: str
) -> None:
    if grouping == mark:
        return
    amount = Decimal(cents) / 100
    text = f"{amount:,.2f}".replace(",", "_").replace(".", mark).replace("_", grouping)
    found = sheet(tmp_path_factory.mktemp("costs"), HEAD + f'c,,,,2024-01-01,,"{text}",EUR\n')
    assert amounts(found) == [amount]


# --- dates ---


@pytest.mark.parametrize(
    ("text", "date_format"),
    [("2024-03-04", None), ("04.03.2024", None), ("4.3.2024", None), ("03/04/2024", "%m/%d/%Y")],
)
def test_dates_that_leave_no_doubt(tmp_path: Path, text: str, date_format: str | None) -> None:
    found = sheet(tmp_path, HEAD + f"c,,,,{text},,1.00,EUR\n", date_format=date_format)
    assert found.landed[0]["starts_on"] == date(2024, 3, 4)


@pytest.mark.parametrize("text", ["03/04/2024", "Jan", "March 2024", "2024", "30.02.2024", "2024-13-01"])
def test_dates_in_doubt_are_quarantined(tmp_path: Path, text: str) -> None:
    found = sheet(tmp_path, HEAD + f"c,,,,{text},,1.00,EUR\n")
    assert [q.column for q in found.quarantined] == ["starts_on"]


def test_an_end_before_the_start_is_quarantined(tmp_path: Path) -> None:
    found = sheet(tmp_path, HEAD + "c,,,,2024-02-01,2024-01-31,1.00,EUR\n")
    assert found.reasons == ["ends_on: lies before starts_on"]


# --- ids ---


def test_a_newer_sheet_without_ids_replaces_the_amount_of_a_line(tmp_path: Path) -> None:
    old = sheet(tmp_path, HEAD + ",organic_search,agency,SEO,2024-01-01,2024-01-31,1000.00,EUR\n").landed[0]
    new = sheet(tmp_path, HEAD + ",organic_search,agency,SEO,2024-01-01,2024-01-31,1200.00,EUR\n").landed[0]
    assert old["cost_id"] == new["cost_id"]


def test_equal_lines_of_one_sheet_are_two_costs(tmp_path: Path) -> None:
    line = ",event,,Open day,2024-01-01,,50.00,EUR\n"
    found = sheet(tmp_path, HEAD + line + line)
    assert len({row["cost_id"] for row in found.landed}) == 2
    again = sheet(tmp_path, HEAD + line + line, name="again.csv")
    assert [r["cost_id"] for r in again.landed] == [r["cost_id"] for r in found.landed]


def test_an_id_ruined_by_a_spreadsheet_is_quarantined(tmp_path: Path) -> None:
    found = sheet(tmp_path, HEAD + "1.23E+10,,,,2024-01-01,,1.00,EUR\n")
    assert [q.column for q in found.quarantined] == ["cost_id"]


# --- channel, currency, totals ---


def test_a_channel_must_be_one_of_ours(tmp_path: Path) -> None:
    found = sheet(tmp_path, HEAD + "c,SEO,,,2024-01-01,,1.00,EUR\nd,Organic_Search,,,2024-01-01,,1.00,EUR\n")
    assert [q.column for q in found.quarantined] == ["channel"]
    assert "organic_search" in found.quarantined[0].reason
    assert [row["channel"] for row in found.landed] == ["organic_search"]


def test_a_currency_must_be_a_code(tmp_path: Path) -> None:
    found = sheet(tmp_path, HEAD + "c,,,,2024-01-01,,1.00,euro\n")
    assert found.reasons == ["currency: is no ISO 4217 code"]


def test_a_sum_below_the_lines_is_kept_to_reconcile_with(tmp_path: Path) -> None:
    lines = "a,,,,2024-01-01,,10.00,EUR\nb,,,,2024-01-01,,5.50,EUR\n\n"
    found = sheet(tmp_path, HEAD + lines + ",,,,,,15.50,\n")
    assert amounts(found) == [Decimal(10), Decimal("5.5")]
    assert found.log.skipped == {"blank line": 1, "total row": 1}
    assert found.log.control_totals == {("sheet", "amount"): Decimal("15.50")}
    wrong = sheet(tmp_path, HEAD + lines + ",,,,,,99.00,\n")
    assert wrong.reasons == ["starts_on: is empty but required"]


# --- files ---


def test_a_semicolon_sheet_in_a_code_page_is_read_when_it_is_named(tmp_path: Path) -> None:
    text = HEAD.replace(",", ";") + "c;;;Šibenik;01.03.2024;;1.234,50;EUR\n"
    row = sheet(tmp_path, text.encode("cp1250"), encoding="cp1250").landed[0]
    assert (row["campaign"], row["amount"]) == ("Šibenik", Decimal("1234.5"))
    with pytest.raises(FileRefused, match="set `encoding:`"):
        sheet(tmp_path, text.encode("cp1250"))


def test_an_xlsx_sheet_with_real_dates_serials_and_numbers(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(HEAD.strip().split(","))
    page.append(["c-1", "event", None, "Open day", datetime(2024, 1, 5), 45300, 1234.5, "EUR"])
    page.append([17, None, None, None, date(2024, 1, 6), None, 100, None])
    path = tmp_path / "costs.xlsx"
    book.save(path)
    found = read(CONNECTOR, path)
    assert [(r["cost_id"], r["starts_on"], r["ends_on"], r["amount"]) for r in found.landed] == [
        ("c-1", date(2024, 1, 5), date(2024, 1, 9), Decimal("1234.5")),
        ("17", date(2024, 1, 6), date(2024, 1, 6), Decimal(100)),
    ]


def test_a_column_nobody_knows_is_named_and_the_line_lands(tmp_path: Path) -> None:
    found = sheet(tmp_path, "starts_on,amount,paid by\n2024-01-01,1.00,Ana\n")
    assert found.log.unknown_columns == {"paid by"}
    assert len(found.landed) == 1
    assert "Ana" not in str(found.landed)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("channel,amount\n", "no column starts_on"),
        ("channel\n", "no column starts_on and no amount"),
        ("starts_on,amount,amount\n", "stands twice"),
        (HEAD + 'c,,,"Open day,2024-01-01', "cut short"),
    ],
)
def test_what_is_no_cost_sheet_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        sheet(tmp_path, content)


def test_header_only_is_an_empty_sheet(tmp_path: Path) -> None:
    assert sheet(tmp_path, HEAD).raw == []


@pytest.mark.parametrize(
    "wrong", [{"delimiter": ";;"}, {"decimal": ";"}, {"date_format": "%H"}, {"currency": "euro"}]
)
def test_options_are_checked(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        options(CONNECTOR, **wrong)
