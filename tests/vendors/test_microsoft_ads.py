"""Microsoft Advertising: downloads of interface and API, and what must not be taken for daily spend."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.microsoft_ads import CONNECTOR
from tests.unit.vendor_files import Read
from tests.vendors import ad_files
from tests.vendors.ad_files import column

PREAMBLE = """"Report Name: Campaigns"
"Report Time: {time}"
"Time Zone: (GMT+01:00) Sarajevo, Skopje, Warsaw, Zagreb"
"Last Completed Available Day: 3/4/2024 10:15:00 PM (GMT)"
"Last Completed Available Hour: 3/4/2024 10:15:00 PM (GMT)"
"Report Aggregation: {aggregation}"
"Report Filter: "
"Potential Incomplete Data: {incomplete}"
"Rows: {rows}"

"""
HEADER = (
    '"TimePeriod","AccountId","CampaignId","CampaignName","CurrencyCode","Impressions","Clicks","Spend"\n'
)
FOOTER = '\n"©2024 Microsoft Corporation. All rights reserved. "\n'
ROW = '"{day}","150175881","359751135","Knee","EUR","{impressions}","{clicks}","{spend}"\n'


def preamble(
    rows: int, time: str = "3/1/2024,3/3/2024", aggregation: str = "Daily", incomplete: str = "false"
) -> str:
    return PREAMBLE.format(time=time, aggregation=aggregation, incomplete=incomplete, rows=rows)


def row(day: str = "2024-03-01", impressions: str = "10", clicks: str = "1", spend: str = "1.50") -> str:
    return ROW.format(day=day, impressions=impressions, clicks=clicks, spend=spend)


def write(folder: Path, content: str | bytes, name: str = "report.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def spend(folder: Path, content: str | bytes, name: str = "report.csv", **given_: Any) -> Read:
    return ad_files.read(CONNECTOR, write(folder, content, name), **given_)


def refusal(folder: Path, content: str | bytes, name: str = "report.csv", **given_: Any) -> str:
    return ad_files.refusal(CONNECTOR, write(folder, content, name), **given_)


# --- real samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rows", "cost", "clicks", "impressions", "level"),
    [
        ("account_performance_daily_report_data", 10, "0", 4, 5, "account"),
        ("campaign_performance_daily_report_first399", 399, "0", 0, 565, "campaign"),
        ("ad_group_performance_daily_report_data", 229, "102.23", 15, 431, "ad_group"),
        ("keyword_performance_daily_report_data", 53, "38.30", 8, 65, "keyword"),
    ],
)
def test_real_daily_tables_give_their_sums(
    shared: Path, name: str, rows: int, cost: str, clicks: int, impressions: int, level: str
) -> None:
    path = shared / f"ad_spend/microsoft_ads/fivetran_seeds/microsoft_ads_{name}.csv"
    found = ad_files.read(CONNECTOR, path)
    assert len(found.landed) == rows
    assert sum(column(found, "cost")) == Decimal(cost)
    assert (sum(column(found, "clicks")), sum(column(found, "impressions"))) == (clicks, impressions)
    assert set(column(found, "report_level")) == {level}
    assert set(column(found, "account")) == {"150175881"}
    assert set(column(found, "currency")) == {"USD"}
    assert set(column(found, "tax_basis")) == {"unknown"}
    assert found.log.unknown_columns <= {"conversions", "revenue"}
    assert found.log.covers is None


def test_the_real_hourly_row_has_its_day_and_hour(shared: Path) -> None:
    found = ad_files.read(
        CONNECTOR, shared / "ad_spend/microsoft_ads/api/keyword_performance_hourly.csv", include_vat=False
    )
    (landed,) = found.landed
    assert (landed["spend_date"], landed["hour"]) == (date(2023, 11, 10), 0)
    assert (landed["account"], landed["campaign_id"]) == ("180519267", "531016227")
    assert (landed["ad_group_id"], landed["ad_group"]) == ("1356799861840328", "keywords")
    assert (landed["keyword_id"], landed["keyword"]) == ("84801135055365", "connector")
    assert (landed["match_type"], landed["device"]) == ("Phrase", "Smartphone")
    assert (landed["impressions"], landed["clicks"], landed["cost"]) == (1, 0, 0)
    assert (landed["report_level"], landed["tax_basis"]) == ("keyword", "excl")
    assert not found.log.unknown_columns


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("api/keyword_report_with_header_and_footer.csv", "no column Spend"),
        ("fivetran_seeds/microsoft_ads_geographic_performance_daily_report_data.csv", "by location_type"),
        ("fivetran_seeds/microsoft_ads_search_performance_daily_report_data.csv", "by search_query"),
        ("fivetran_seeds/microsoft_ads_campaign_history_data.csv", "no header in its first 30 lines"),
    ],
)
def test_real_reports_that_are_no_daily_spend_are_refused(shared: Path, name: str, message: str) -> None:
    assert message in ad_files.refusal(CONNECTOR, shared / "ad_spend/microsoft_ads" / name)


def test_the_documented_report_with_days_and_spend_gives_its_clicks(shared: Path, tmp_path: Path) -> None:
    path = shared / "ad_spend/microsoft_ads/api/keyword_report_with_header_and_footer.csv"
    text = path.read_text(encoding="utf-8")
    header, *rest = [line for line in text.splitlines() if line.count('","') == 5]
    assert len(rest) == 5
    for line in rest:
        text = text.replace(line, f'{line},"2020-02-07","0.10","USD"')
    text = text.replace(header, f'{header},"TimePeriod","Spend","CurrencyCode"')
    assert "is aggregated by 'Summary', not by day" in refusal(tmp_path, text)
    found = spend(tmp_path, text.replace("Summary", "Daily"))
    assert len(found.landed) == 5
    assert sum(column(found, "clicks")) == 171
    assert sum(column(found, "cost")) == Decimal("0.50")
    assert found.log.control_totals == {("report", "rows"): 5}
    assert found.log.covers == (date(2020, 2, 7), date(2020, 2, 7))
    assert found.log.skipped == {"preamble": 10, "blank line": 1, "copyright": 1}
    assert found.log.notes == ["the report says that its last day may be incomplete: download it again later"]
    assert column(found, "impressions") == [None] * 5


# --- what stands around the rows ---------------------------------------------------------------------


def test_lines_around_the_rows_may_be_left_out(tmp_path: Path) -> None:
    body = HEADER + row() + row("2024-03-02", "0", "2", "0.30")
    whole = spend(tmp_path, preamble(2) + body + FOOTER)
    for content in (body, preamble(2) + body, body + FOOTER, "\ufeff" + preamble(2) + body.rstrip()):
        assert spend(tmp_path, content).landed == [
            {**landed, "_row_number": bare["_row_number"]}
            for landed, bare in zip(whole.landed, spend(tmp_path, content).landed, strict=True)
        ]
    assert whole.log.covers == (date(2024, 3, 1), date(2024, 3, 3))
    assert whole.log.notes == []
    # Clicks without impressions do happen.
    assert [(r["impressions"], r["clicks"]) for r in whole.landed] == [(10, 1), (0, 2)]


@pytest.mark.parametrize("rows", [1, 3, 0])
def test_a_report_with_other_rows_than_it_counts_is_refused(tmp_path: Path, rows: int) -> None:
    said = refusal(tmp_path, preamble(rows) + HEADER + row() + row() + FOOTER)
    assert f"holds 2 of {rows} rows" in said


def test_two_rows_alike_are_both_money(tmp_path: Path) -> None:
    found = spend(tmp_path, preamble(2) + HEADER + row() + row() + FOOTER)
    assert column(found, "cost") == [Decimal("1.5")] * 2


def test_a_report_without_rows_clears_its_days(tmp_path: Path) -> None:
    found = spend(tmp_path, preamble(0) + HEADER + FOOTER)
    assert found.landed == []
    assert found.log.covers == (date(2024, 3, 1), date(2024, 3, 3))


@pytest.mark.parametrize(
    ("time", "covers"),
    [
        ("2/1/2020, 2/7/2020", (date(2020, 2, 1), date(2020, 2, 7))),
        ("6/10/2026,6/16/2026", (date(2026, 6, 10), date(2026, 6, 16))),
        ("2/7/2020", (date(2020, 2, 7), date(2020, 2, 7))),
        ("2020-02-01,2020-02-07", (date(2020, 2, 1), date(2020, 2, 7))),
        ("2013", None),
        ("Last 7 days", None),
        ("2/7/2020,2/1/2020", None),
    ],
)
def test_the_range_of_the_report_is_what_it_covers(tmp_path: Path, time: str, covers: Any) -> None:
    assert spend(tmp_path, preamble(0, time) + HEADER).log.covers == covers
    unquoted = preamble(0, time).replace('"', "") + HEADER
    assert spend(tmp_path, unquoted).log.covers == covers


def test_a_row_outside_the_range_is_quarantined(tmp_path: Path) -> None:
    found = spend(tmp_path, preamble(2) + HEADER + row("2024-02-29") + row("2024-03-03"))
    assert found.reasons == ["spend_date: lies outside the date range that the report prints"]
    assert column(found, "spend_date") == [date(2024, 3, 3)]


# --- days and hours ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day", "hour"),
    [
        ("2020-03-15", date(2020, 3, 15), None),
        ("3/15/2020", date(2020, 3, 15), None),
        # Format versions 1.0 and 2.0.
        ("3/15/2020 12:00:00 AM|7", date(2020, 3, 15), 7),
        ("2020-03-15|7", date(2020, 3, 15), 7),
        ("2020-03-15|23", date(2020, 3, 15), 23),
        ("3/15/2020 1:00:00 PM", date(2020, 3, 15), 13),
        ("2023-11-10T05:00:00+00:00", date(2023, 11, 10), 5),
        ("2023-11-10T05:00:00Z", date(2023, 11, 10), 5),
    ],
)
def test_days_and_hours_of_every_version(tmp_path: Path, text: str, day: date, hour: int | None) -> None:
    found = spend(tmp_path, HEADER + row(text))
    assert (found.landed[0]["spend_date"], found.landed[0]["hour"]) == (day, hour)


@pytest.mark.parametrize(
    "text", ["15/3/2020", "2020-02-30", "0000-01-01", "2020-03-15|24", "15 Mar 2020", "2020-03", "7"]
)
def test_other_days_refuse_the_file(tmp_path: Path, text: str) -> None:
    said = refusal(tmp_path, HEADER + row() + row(text))
    assert "line 3: TimePeriod is not a day; set `date_format:`" in said


def test_days_in_a_configured_format(tmp_path: Path) -> None:
    found = spend(tmp_path, HEADER + row("15/3/2020") + row("03/04/2020|6"), date_format="%d/%m/%Y")
    assert column(found, "spend_date") == [date(2020, 3, 15), date(2020, 4, 3)]
    assert column(found, "hour") == [None, 6]


def test_a_row_without_a_day_or_of_an_absurd_year_is_quarantined(tmp_path: Path) -> None:
    found = spend(tmp_path, HEADER + row("") + row("0024-03-01") + row("2031-01-01") + row("2024-03-02"))
    assert found.reasons == [
        "spend_date: is empty but required",
        "spend_date: has the absurd year 24",
        "spend_date: lies in the future of the file (2030-01-02)",
    ]
    assert len(found.landed) == 1


@pytest.mark.parametrize("aggregation", ["Weekly", "Monthly", "Summary", "HourOfDay", "Week", "Yearly"])
def test_other_periods_than_days_and_hours_are_refused(tmp_path: Path, aggregation: str) -> None:
    said = refusal(tmp_path, preamble(1, aggregation=aggregation) + HEADER + row())
    assert f"is aggregated by {aggregation!r}, not by day" in said
    assert "Reports > Performance > Campaign" in said


@pytest.mark.parametrize("step", [7, 14])
def test_weeks_without_the_lines_above_are_refused(tmp_path: Path, step: int) -> None:
    rows = [row((date(2024, 3, 3) + timedelta(days=step * n)).isoformat()) for n in range(3)]
    assert "week or a month apart" in refusal(tmp_path, HEADER + "".join(rows))
    assert len(spend(tmp_path, HEADER + "".join(rows[:2])).landed) == 2
    assert len(spend(tmp_path, preamble(3, "3/1/2024,4/30/2024") + HEADER + "".join(rows)).landed) == 3
    daily = [*rows, row("2024-03-04")]
    assert len(spend(tmp_path, HEADER + "".join(daily)).landed) == 4


def test_months_without_the_lines_above_are_refused(tmp_path: Path) -> None:
    rows = "".join(row(f"2024-0{month}-01") for month in range(1, 5))
    assert "week or a month apart" in refusal(tmp_path, HEADER + rows)


# --- the interface's download ------------------------------------------------------------------------

INTERFACE = (
    "Report Name: Keywords\nReport Time: 6/10/2026,6/16/2026\n"
    "Time Zone: (GMT+08:00) Beijing, Chongqing, Hong Kong SAR, Urumqi\n"
    "Last Completed Available Day: 6/17/2026 7:20:00 AM (GMT)\n\n"
    "Gregorian date\tHour\tAccount name\tAccount number\tCampaign name\tAd group\tKeyword ID\tKeyword\t"
    "Bid match type\tDevice type\tImpressions\tClicks\tCTR\tSpend\tCurrency code\n"
    "6/10/2026\t9\t玉联/杭州\tF149C4W5\t个推\t次核心词\t[82945799304067]\tpushplus\tPhrase\tComputer\t309\t91\t29.45%\t1,318.26\tCNY\n"
    "6/11/2026\t23\t玉联/杭州\tF149C4W5\t个推\t核心词\t[83014521198066]\t消息推送\tExact\tTablet\t342\t13\t3.80%\t76.53\tCNY\n"
)


def test_the_interfaces_download_is_read(tmp_path: Path) -> None:
    for content in (INTERFACE.encode(), INTERFACE.encode("utf-16")):
        found = spend(tmp_path, content, "report.tsv")
        assert column(found, "spend_date") == [date(2026, 6, 10), date(2026, 6, 11)]
        assert column(found, "hour") == [9, 23]
        assert column(found, "account") == ["F149C4W5"] * 2
        assert column(found, "keyword_id") == ["82945799304067", "83014521198066"]
        assert column(found, "cost") == [Decimal("1318.26"), Decimal("76.53")]
        assert column(found, "report_level") == ["keyword"] * 2
        assert found.log.unknown_columns == set()
        assert found.log.covers == (date(2026, 6, 10), date(2026, 6, 16))


def test_a_total_row_is_kept_and_compared(tmp_path: Path) -> None:
    total = "Overall total\t\t\t\t\t\t\t\t\t\t651\t104\t15.98%\t1,394.79\t\n"
    found = spend(tmp_path, INTERFACE + total)
    assert found.log.control_totals == {
        ("total", "impressions"): 651,
        ("total", "clicks"): 104,
        ("total", "cost"): Decimal("1394.79"),
    }
    assert found.log.skipped["total row"] == 1
    short = INTERFACE + total.replace("1,394.79", "1,500.00")
    assert "rows add up to 1394.79, but it prints 1500.00 in all" in refusal(tmp_path, short)
    more = spend(tmp_path, INTERFACE + total.replace("1,394.79", "1,000.00"))
    assert more.log.notes == ["rows add up to 1394.79, the report says 1000.00"]


def test_a_campaign_called_total_is_a_campaign(tmp_path: Path) -> None:
    found = spend(tmp_path, HEADER + row().replace("Knee", "Total body scan"))
    assert column(found, "campaign_name") == ["Total body scan"]


def test_a_workbook_is_read_and_its_long_ids_are_quarantined(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for cells in [
        ["Report Time: 3/1/2024,3/3/2024"],
        [
            "Gregorian date",
            "Account number",
            "Campaign ID",
            "Ad group ID",
            "Spend",
            "Clicks",
            "Currency code",
        ],
        [date(2024, 3, 1), "F149C4W5", 359751135, "[1343603469570956]", 1318.26, 91, "EUR"],
        [date(2024, 3, 2), "F149C4W5", 359751135, 1343603469570956, 10, 2, "EUR"],
        ["©2024 Microsoft Corporation. All rights reserved."],
    ]:
        sheet.append(cells)
    path = tmp_path / "report.xlsx"
    book.save(path)
    found = ad_files.read(CONNECTOR, path, decimal=",")
    assert column(found, "ad_group_id") == ["1343603469570956"]
    assert column(found, "cost") == [Decimal("1318.26")]
    assert found.reasons == ["ad_group_id: was ruined by a spreadsheet (1,23E+10); export it as text"]


# --- accounts, currencies, numbers -------------------------------------------------------------------


def test_one_source_holds_one_account_or_names_none(tmp_path: Path) -> None:
    two = HEADER + row() + row().replace("150175881", "77")
    assert column(spend(tmp_path, two), "account") == ["150175881", "77"]
    assert "holds several accounts" in refusal(tmp_path, two, account="main")
    assert column(spend(tmp_path, HEADER + row(), account="main"), "account") == ["main"]
    nameless = HEADER.replace('"AccountId",', "") + row().replace('"150175881",', "")
    assert "names no account; set `account:`" in refusal(tmp_path, nameless)
    assert column(spend(tmp_path, nameless, account="main"), "account") == ["main"]


def test_ids_in_brackets_lose_them_and_names_do_not(tmp_path: Path) -> None:
    content = HEADER.replace("AccountId", "AccountName") + row()
    for given_, account in (("[150175881]", "150175881"), ("[EU] Clinic", "[EU] Clinic")):
        found = spend(tmp_path, content.replace("150175881", given_))
        assert column(found, "account") == [account]


def test_counts_may_be_printed_with_zeros_behind_the_point(tmp_path: Path) -> None:
    found = spend(tmp_path, HEADER + row(impressions="1,010.00", clicks="3.0") + row(clicks="2."))
    assert column(found, "impressions") == [1010, 10]
    assert column(found, "clicks") == [3, 2]


def test_the_currency_is_told_by_the_report_or_the_source(tmp_path: Path) -> None:
    bare = HEADER.replace('"CurrencyCode",', "") + row().replace('"EUR",', "")
    assert "tells no currency" in refusal(tmp_path, bare)
    assert column(spend(tmp_path, bare, currency="EUR"), "currency") == ["EUR"]
    assert "has rows not in USD" in refusal(tmp_path, HEADER + row(), currency="USD")
    two = HEADER + row() + row().replace("EUR", "USD")
    assert "one account in several currencies" in refusal(tmp_path, two)
    empty = HEADER + row() + row().replace("EUR", "")
    assert spend(tmp_path, empty).reasons == ["currency: is empty but required"]
    assert column(spend(tmp_path, empty, currency="EUR"), "currency") == ["EUR", "EUR"]


@pytest.mark.parametrize(
    ("spend_text", "decimal", "cost"),
    [
        ("1,000.00", ".", "1000"),
        ("0", ".", "0"),
        ("1.000,50", ",", "1000.5"),
        ("12,5", ",", "12.5"),
        ("--", ".", None),
    ],
)
def test_amounts(tmp_path: Path, spend_text: str, decimal: str, cost: str | None) -> None:
    found = spend(tmp_path, HEADER + row(spend=spend_text), decimal=decimal)
    assert column(found, "cost") == ([] if cost is None else [Decimal(cost)])
    if cost is None:
        assert found.reasons == ["cost: is empty but required"]


@pytest.mark.parametrize(
    ("cells", "decimal", "message"),
    [
        ({"spend": "12,5"}, ".", "line 2: Spend is not written as a number with the decimal mark '.'"),
        ({"spend": "12.5"}, ",", "line 2: Spend is not written as a number with the decimal mark ','"),
        ({"spend": "1.234"}, ".", "line 2: Spend has three decimals, so its mark may group thousands"),
        ({"spend": "1E+3"}, ".", "Spend is not written as a number"),
        ({"clicks": "1.234"}, ".", "Clicks has decimals"),
        ({"impressions": "x"}, ".", "Impressions is not written as a number"),
    ],
)
def test_another_number_format_refuses_the_file(
    tmp_path: Path, cells: dict[str, str], decimal: str, message: str
) -> None:
    assert message in refusal(tmp_path, HEADER + row(**cells), decimal=decimal)


def test_three_decimals_are_an_amount_in_some_currencies(tmp_path: Path) -> None:
    found = spend(tmp_path, HEADER + row(spend="1.234").replace("EUR", "KWD"))
    assert column(found, "cost") == [Decimal("1.234")]


def test_negative_spend_and_ruined_ids_are_quarantined(tmp_path: Path) -> None:
    found = spend(
        tmp_path, HEADER + row(spend="-1.50") + row().replace("359751135", "3,59751E+14") + row(spend="2")
    )
    assert found.reasons == [
        "cost: is negative, which spend never is; credits belong into a cost sheet",
        "campaign_id: was ruined by a spreadsheet (1,23E+10); export it as text",
    ]
    assert column(found, "cost") == [2]


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["SearchQuery", "Search term", "City", "Age group", "Audience", "ClickType"])
def test_reports_whose_rows_overlap_or_leave_out_are_refused(tmp_path: Path, part: str) -> None:
    content = HEADER.replace("CampaignName", part) + row()
    assert f"a report by {part} repeats spend or leaves some out" in refusal(tmp_path, content)


def test_a_report_by_goal_is_refused_only_where_it_names_goals(tmp_path: Path) -> None:
    header = HEADER.replace("CampaignName", "Goal")
    assert "by goal repeats spend" in refusal(tmp_path, header + row())
    assert len(spend(tmp_path, header + row().replace("Knee", "")).landed) == 1


WHOLE = preamble(2) + HEADER + row() + row() + FOOTER


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.csv", "is empty"),
        ("<!DOCTYPE html><html>Sign in", "a.csv", "is a web page"),
        (preamble(2), "a.csv", "no header in its first 30 lines"),
        (HEADER.replace("TimePeriod", "Zeit") + row(), "a.csv", "has no days"),
        (HEADER.replace("Spend", "Clicks") + row(), "a.csv", "has the column Clicks twice"),
        (WHOLE[: WHOLE.index("©") - 30], "a.csv", "line 13 has 4 cells under 8 headings"),
        (WHOLE[: WHOLE.index("©") - 4], "a.csv", "unexpected end of data"),
        (WHOLE.replace('"1.50"\n', '"1.50","x"\n', 1), "a.csv", "line 12 has 9 cells under 8 headings"),
        (WHOLE + row(), "a.csv", "ends the report, but rows follow"),
        (WHOLE.replace("Knee", "Knie für Ältere").encode("cp1252"), "a.csv", "is not utf-8 text"),
        (gzip.compress(WHOLE.encode())[:-12], "a.csv.gz", "cannot be unpacked"),
        (b"PK\x03\x04 no workbook", "a.xlsx", "not a readable XLSX workbook"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, content: str | bytes, name: str, message: str) -> None:
    assert message in refusal(tmp_path, content, name)


def test_unknown_columns_are_reported_and_known_ones_not(tmp_path: Path) -> None:
    content = HEADER.replace("CampaignName", "Mood").replace("Impressions", "AverageCpc") + row()
    assert spend(tmp_path, content).log.unknown_columns == {"Mood"}


# --- properties --------------------------------------------------------------------------------------

_REPORT = st.lists(
    st.tuples(
        st.dates(date(2024, 3, 1), date(2024, 3, 3)),
        st.integers(0, 23),
        st.text("Knee, \"'é", min_size=1, max_size=5).filter(str.strip),
        st.integers(0, 10**6),
        st.integers(0, 10**8),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    report=_REPORT,
    hourly=st.booleans(),
    version=st.sampled_from(["1.0", "2.0"]),
    has_lines=st.booleans(),
    order=st.permutations(range(5)),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_every_row_lands_whatever_the_layout(
    tmp_path: Path,
    report: list[tuple[date, int, str, int, int]],
    hourly: bool,
    version: str,
    has_lines: bool,
    order: list[int],
    quoting: Any,
) -> None:
    def period(day: date, hour: int) -> str:
        if version == "2.0":
            return f"{day}|{hour}" if hourly else day.isoformat()
        plain = f"{day.month}/{day.day}/{day.year}"
        return f"{plain} 12:00:00 AM|{hour}" if hourly else plain

    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting, lineterminator="\n")
    header = ["TimePeriod", "CampaignName", "Clicks", "Spend", "CurrencyCode"]
    writer.writerow([header[at] for at in order])
    for day, hour, name, clicks, cents in report:
        amount = f"{Decimal(cents) / 100:,.2f}" if version == "1.0" else f"{Decimal(cents) / 100:.2f}"
        cells = [period(day, hour), name, str(clicks), amount, "EUR"]
        writer.writerow([cells[at] for at in order])
    lines = preamble(len(report), aggregation="Hourly" if hourly else "Daily") if has_lines else ""
    found = spend(tmp_path, lines + out.getvalue() + (FOOTER if has_lines else ""), account="main")
    assert [
        (r["spend_date"], r["hour"], r["campaign_name"], r["clicks"], r["cost"]) for r in found.landed
    ] == [
        (day, hour if hourly else None, name.strip(), clicks, Decimal(cents) / 100)
        for day, hour, name, clicks, cents in report
    ]
