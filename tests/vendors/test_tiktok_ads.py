"""TikTok Ads: reports of Ads Manager, tables of API fields, saved answers, and what is no daily spend."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.tiktok_ads import CONNECTOR
from tests.unit.vendor_files import Read
from tests.vendors import ad_files
from tests.vendors.ad_files import column

OWN = {"account": "main", "currency": "EUR"}


def write(folder: Path, content: str | bytes, name: str = "report.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def spend(folder: Path, content: str | bytes, name: str = "report.csv", **given_: Any) -> Read:
    return ad_files.read(CONNECTOR, write(folder, content, name), **{**OWN, **given_})


def refusal(folder: Path, content: str | bytes, name: str = "report.csv", **given_: Any) -> str:
    return ad_files.refusal(CONNECTOR, write(folder, content, name), **{**OWN, **given_})


# --- real samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cost", "clicks", "impressions", "level", "hours"),
    [
        ("ad_report_hourly_data", "2.66", 2, 69, "ad", [10, 10, 10, 10]),
        ("adgroup_report_hourly_data", "50.15", 69, 6502, "ad_group", [5, 7, 7, 4]),
        ("campaign_report_hourly_data", "444.792", 244, 34470, "campaign", [5, 4, 8, 10]),
    ],
)
def test_real_hourly_tables_give_their_sums(
    shared: Path, name: str, cost: str, clicks: int, impressions: int, level: str, hours: list[int]
) -> None:
    path = shared / f"ad_spend/tiktok/fivetran_seeds/tiktok_{name}.csv"
    found = ad_files.read(CONNECTOR, path, **OWN)
    assert sum(column(found, "cost")) == Decimal(cost)
    assert (sum(column(found, "clicks")), sum(column(found, "impressions"))) == (clicks, impressions)
    assert set(column(found, "report_level")) == {level}
    assert set(column(found, "spend_date")) == {date(2021, 9, 15)}
    assert column(found, "hour") == hours
    assert found.log.unknown_columns == set()
    assert set(column(found, "tax_basis")) == {"unknown"}


def test_real_rows_of_the_api_are_read(shared: Path) -> None:
    found = ad_files.read(
        CONNECTOR, shared / "ad_spend/tiktok/api/reports_connector_records_subset.jsonl", **OWN
    )
    keys = (
        "spend_date",
        "report_level",
        "campaign_id",
        "ad_group_id",
        "ad_id",
        "impressions",
        "clicks",
        "cost",
    )
    assert [tuple(row[key] for key in keys) for row in found.landed] == [
        (date(2022, 3, 29), "ad", "1728545382536225", "1728545385226289", "1728545390695442", 6137, 57, 20),
        # Idle days have rows of zeros.
        (date(2022, 3, 31), "ad", "1728545382536225", "1728545385226289", "1728545390695442", 0, 0, 0),
        (date(2022, 3, 30), "ad_group", "1728545382536225", "1728545385226289", None, 3682, 42, 20),
    ]
    assert set(column(found, "campaign_name")) == {"CampaignVadimTraffic"}
    assert column(found, "hour") == [None] * 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("campaign_country_report_data", "a report by country_code may leave spend out"),
        ("campaign_history_data", "no column spend"),
        ("advertiser_data", "no column Cost"),
    ],
)
def test_real_tables_that_are_no_daily_spend_are_refused(shared: Path, name: str, message: str) -> None:
    path = shared / f"ad_spend/tiktok/fivetran_seeds/tiktok_{name}.csv"
    assert message in ad_files.refusal(CONNECTOR, path, **OWN)


# --- reports of Ads Manager --------------------------------------------------------------------------

HEADER = "Campaign name,Campaign ID,By Day,Cost,Impressions,Clicks (destination),CTR (destination),Currency\n"
ROWS = (
    'Knee,1728545382536225,2024-03-01,"1,020.50",6137,57,0.93%,EUR\n'
    "Total knee,1728545382536226,2024-03-02,0.00,-,0,0.00%,EUR\n"
)
TOTAL = 'Total of 2 results,-,-,"1,020.50",6137,57,0.93%,EUR\n'


def test_a_report_of_ads_manager_is_read_and_its_total_kept(tmp_path: Path) -> None:
    for content in (HEADER + ROWS + TOTAL, HEADER + TOTAL + ROWS, "\ufeff" + HEADER + ROWS + TOTAL):
        found = spend(tmp_path, content)
        assert column(found, "campaign_id") == ["1728545382536225", "1728545382536226"]
        assert column(found, "campaign_name") == ["Knee", "Total knee"]
        assert column(found, "cost") == [Decimal("1020.5"), 0]
        assert column(found, "impressions") == [6137, None]
        assert column(found, "report_level") == ["campaign"] * 2
        assert found.log.skipped == {"total row": 1}
        assert found.log.control_totals == {
            ("total", "cost"): Decimal("1020.5"),
            ("total", "impressions"): 6137,
            ("total", "clicks"): 57,
        }
        assert found.log.unknown_columns == set()


def test_rows_short_of_the_total_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, HEADER + ROWS + TOTAL.replace("1,020.50", "1,020.60"))
    assert "its rows add up to 1020.5, but it prints 1020.60 in all" in said
    rounded = spend(tmp_path, HEADER + ROWS + TOTAL.replace("1,020.50", "1,020.51"))
    assert rounded.log.notes == []


def test_few_impressions_are_hidden_and_not_known(tmp_path: Path) -> None:
    found = spend(tmp_path, HEADER + ROWS.replace("6137", "<5"))
    assert column(found, "impressions") == [None, None]
    assert column(found, "clicks") == [57, 0]


def test_a_dash_is_no_spend_only_where_nothing_was_shown(tmp_path: Path) -> None:
    found = spend(tmp_path, HEADER + "A,1,2024-03-01,-,-,-,-,EUR\nB,2,2024-03-01,-,10,0,-,EUR\n")
    assert column(found, "cost") == [0]
    assert found.reasons == ["cost: is empty but required"]


def test_the_workbook_of_ads_manager_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for cells in [
        [
            "By Day",
            "Campaign name",
            "Ad group name",
            "Ad name",
            "Ad ID",
            "Cost (EUR)",
            "Clicks (destination)",
        ],
        ["2024-03-01", "Knee", "40+", "Video 1", "1728545390695442", 12.34, 5],
        [date(2024, 3, 2), "Knee", "40+", "Video 1", 1728545390695442, 1, 5],
        ["Total of 2 results", "-", "-", "-", "-", 13.34, 10],
    ]:
        sheet.append(cells)
    path = tmp_path / "report.xlsx"
    book.save(path)
    found = ad_files.read(CONNECTOR, path, account="main")
    assert column(found, "ad_id") == ["1728545390695442"]
    assert column(found, "cost") == [Decimal("12.34")]
    assert column(found, "currency") == ["EUR"]
    assert found.reasons == ["ad_id: was ruined by a spreadsheet (1,23E+10); export it as text"]
    assert "is in EUR, not in USD" in ad_files.refusal(CONNECTOR, path, account="main", currency="USD")


@pytest.mark.parametrize(
    ("columns", "level"),
    [
        ("Account name", "account"),
        ("Campaign name", "campaign"),
        ("Campaign name,Ad group ID", "ad_group"),
        ("Campaign name,Ad group name,Ad name", "ad"),
    ],
)
def test_the_level_is_the_deepest_that_the_report_names(tmp_path: Path, columns: str, level: str) -> None:
    names = columns.count(",") + 1
    content = f"{columns},Date,Total cost,Clicks\n" + "x," * names + "2024-03-01,1.50,2\n"
    assert column(spend(tmp_path, content), "report_level") == [level]


@pytest.mark.parametrize("part", ["Country/Region", "Age", "Gender", "Search term", "Platform", "Interest"])
def test_breakdowns_that_may_leave_spend_out_are_refused(tmp_path: Path, part: str) -> None:
    content = HEADER.replace("CTR (destination)", part) + ROWS
    assert f"a report by {part} may leave spend out" in refusal(tmp_path, content)


def test_three_decimals_are_doubtful_in_ads_manager_and_usual_in_the_api(tmp_path: Path) -> None:
    assert "Cost has three decimals" in refusal(tmp_path, HEADER + ROWS.replace("0.00,", "1.020,"))
    fields = "stat_time_day,campaign_id,spend\n2024-03-01 00:00:00,1,20.000\n"
    found = spend(tmp_path, fields)
    assert column(found, "cost") == [20]
    assert column(found, "spend_date") == [date(2024, 3, 1)]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.csv", "is empty"),
        ("<html>", "a.csv", "is a web page"),
        (HEADER.replace("By Day", "Reach") + ROWS, "a.csv", "has no days"),
        (HEADER.replace("Cost", "Costs") + ROWS, "a.csv", "no column Cost"),
        (HEADER + ROWS.replace("2024-03-02", "2024-03-02 ~ 2024-03-08"), "a.csv", "By Day is not a day"),
        (HEADER + ROWS.replace("57,", "5.7,"), "a.csv", "Clicks (destination) has decimals"),
        (HEADER + ROWS.replace("0.00,-", "0;00,-"), "a.csv", "Cost is not written as a number"),
        (HEADER + ROWS[:-9], "a.csv", "line 3 has 7 cells under 8 headings"),
        (HEADER + ROWS.replace("Knee", "Knie für Ältere").encode("cp1252").decode("latin-1"), "a.csv", ""),
        (gzip.compress((HEADER + ROWS).encode())[:-12], "a.csv.gz", "cannot be unpacked"),
    ],
)
def test_bad_reports_are_refused(tmp_path: Path, content: str | bytes, name: str, message: str) -> None:
    if message == "":
        assert isinstance(content, str)
        content, message = content.encode("latin-1"), "is not utf-8 text"
    assert message in refusal(tmp_path, content, name)


def test_accounts_and_currencies(tmp_path: Path) -> None:
    bare = "By Day,Campaign name,Cost\n2024-03-01,Knee,1.50\n"
    assert "names no account" in refusal(tmp_path, bare, account=None)
    assert "tells no currency" in refusal(tmp_path, bare, currency=None)
    named = "By Day,Account name,Cost,Currency\n2024-03-01,A,1.50,EUR\n2024-03-01,B,2,USD\n"
    found = spend(tmp_path, named, account=None, currency=None)
    assert list(zip(column(found, "account"), column(found, "currency"), strict=True)) == [
        ("A", "EUR"),
        ("B", "USD"),
    ]
    assert "holds several accounts" in refusal(tmp_path, named, currency=None)
    assert "has rows not in EUR" in refusal(tmp_path, named, account=None)
    negative = spend(tmp_path, bare + "2024-03-01,Refund,-2\n")
    assert negative.reasons == ["cost: is negative, which spend never is; credits belong into a cost sheet"]


# --- saved answers -----------------------------------------------------------------------------------


def answer(*rows: dict[str, Any], **page: Any) -> dict[str, Any]:
    info = {"page": 1, "total_page": 1, "page_size": 1000, "total_number": len(rows), **page}
    return {"code": 0, "message": "OK", "request_id": "x", "data": {"list": list(rows), "page_info": info}}


def api_row(day: str = "2024-03-01 00:00:00", **metrics: Any) -> dict[str, Any]:
    return {
        "dimensions": {"campaign_id": 1728545382536225, "stat_time_day": day},
        "metrics": {"spend": "1.500", "impressions": "10", "clicks": "1", "campaign_name": "Knee", **metrics},
    }


@pytest.mark.parametrize("indent", [None, 1])
def test_a_saved_answer_is_read(tmp_path: Path, indent: int | None) -> None:
    rows = [api_row(), api_row(spend="-", impressions="-", clicks=None), api_row(spend="-1.000")]
    content = json.dumps(answer(*rows), indent=indent)
    found = spend(tmp_path, content, "answer.json", include_vat=True)
    assert column(found, "cost") == [Decimal("1.5"), 0]
    assert column(found, "campaign_id") == ["1728545382536225"] * 2
    assert column(found, "impressions") == [10, None]
    assert column(found, "tax_basis") == ["incl"] * 2
    assert found.reasons == ["cost: is negative, which spend never is; credits belong into a cost sheet"]
    assert found.log.control_totals == {("answer", "rows"): 3}


def test_an_answer_without_rows_is_a_success(tmp_path: Path) -> None:
    assert spend(tmp_path, json.dumps(answer()), "answer.json").landed == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"code": 40105, "message": "Access token is incorrect", "data": {}},
            "is an error answer (code 40105)",
        ),
        (answer(api_row(), total_number=2, total_page=2), "holds 1 of 2 rows; it is one page of several"),
        (answer({"metrics": {}}), "row 1 has no dimensions and metrics"),
        (
            answer({"dimensions": {"campaign_id": 1}, "metrics": {"spend": "1"}}),
            "row 1 has no day; request the dimension stat_time_day",
        ),
        (
            answer({"dimensions": {"country_code": "HR", "stat_time_day": "2024-03-01"}, "metrics": {}}),
            "a report by country_code may leave spend out",
        ),
        ({"data": {"list": []}}, "row 1 has no dimensions and metrics"),
        ([api_row()], "is no answer of report/integrated/get"),
        (answer(api_row(currency="USD")), "row 1 is not in EUR"),
        (answer(api_row(advertiser_id="1"), api_row(advertiser_id="2")), "holds several accounts"),
    ],
)
def test_other_answers_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    assert message in refusal(tmp_path, json.dumps(content), "answer.json")


def test_a_cut_answer_is_refused(tmp_path: Path) -> None:
    content = json.dumps(answer(api_row(), api_row()))
    assert "not whole JSON" in refusal(tmp_path, content[: len(content) - 60], "answer.json")


def test_hours_of_the_api_are_told(tmp_path: Path) -> None:
    row = api_row()
    row["dimensions"] = {"ad_id": "7", "stat_time_hour": "2024-03-01 13:00:00"}
    line = {**row, "ad_id": 7}
    found = spend(tmp_path, "\ufeff" + json.dumps(line) + "\n\n" + json.dumps(line) + "\n", "rows.jsonl")
    assert column(found, "hour") == [13, 13]
    assert column(found, "spend_date") == [date(2024, 3, 1)] * 2
    bad = json.dumps({**row, "dimensions": {"ad_id": 7, "stat_time_day": "yesterday"}})
    assert spend(tmp_path, bad, "rows.jsonl").reasons == ["spend_date: is not a date"]


# --- properties --------------------------------------------------------------------------------------

_ROWS = st.lists(
    st.tuples(
        st.dates(date(2024, 1, 1), date(2024, 12, 31)),
        st.text("Knee, \"'膝", min_size=1, max_size=5).filter(str.strip),
        st.integers(0, 10**6),
        st.integers(0, 10**9),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, has_total=st.booleans(), delimiter=st.sampled_from(",;\t"))
def test_report_and_answer_give_the_same(
    tmp_path: Path, rows: list[tuple[date, str, int, int]], has_total: bool, delimiter: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["Campaign name", "By Day", "Cost", "Clicks (destination)"])
    for day, name, clicks, cents in rows:
        writer.writerow([name, day.isoformat(), f"{Decimal(cents) / 100:,.2f}", str(clicks)])
    summed = sum((Decimal(cents) / 100 for *_, cents in rows), Decimal(0))
    if has_total:
        writer.writerow([f"Total of {len(rows)} results", "-", f"{summed:,.2f}", "-"])
    report = spend(tmp_path, out.getvalue())
    items = [
        {
            "dimensions": {"campaign_id": 1, "stat_time_day": f"{day} 00:00:00"},
            "metrics": {"spend": f"{Decimal(cents) / 100:.3f}", "clicks": str(clicks), "campaign_name": name},
        }
        for day, name, clicks, cents in rows
    ]
    saved = spend(tmp_path, json.dumps(answer(*items)), "answer.json")
    keys = ("spend_date", "campaign_name", "clicks", "cost", "report_level", "currency")
    assert [[r[key] for key in keys] for r in report.landed] == [
        [r[key] for key in keys] for r in saved.landed
    ]
    assert sum(column(report, "cost"), Decimal(0)) == summed
    assert report.log.control_totals == ({("total", "cost"): summed} if has_total else {})
