"""Yandex Direct's reports: layout by place, the unit of money, completeness."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.check import Quarantined, check
from connectors.contract import Block, ReadLog, Record, Row
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.privacy import Privacy
from connectors.yandex_direct import AD_SPEND, CONNECTOR
from tests.unit.vendor_files import CHECKED_AT, Read, options

COLUMNS = "Date\tCampaignId\tCampaignName\tImpressions\tClicks\tCost\n"


def read(_connector: object, path: Path, **given_options: Any) -> Read:
    """Read and check one report: what it gives as blocks, and what comes of them."""
    source = options(CONNECTOR, **given_options)
    log, privacy = ReadLog(), Privacy(b"a key for tests only", "HR")
    raw: list[Row] = []

    def kept() -> Iterator[Record]:
        for record in CONNECTOR.read(InboxFile(path), AD_SPEND, source, log):  # type: ignore[arg-type]
            raw.extend(record.rows() if isinstance(record, Block) else [record])
            yield record

    landed: list[dict[str, Any]] = []
    quarantined: list[Quarantined] = []
    for checked in check(kept(), AD_SPEND, privacy, log, arrived_at=CHECKED_AT):
        landed += checked.batch.to_pylist()
        quarantined += checked.quarantined
    assert len(raw) == len(landed) + len(quarantined)
    return Read(raw, landed, quarantined, log)


def report(tmp_path: Path, content: str | bytes, **given_options: Any) -> Read:
    path = tmp_path / "report.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, **{"currency": "RUB", **given_options})


def refusal(tmp_path: Path, content: str | bytes, **given_options: Any) -> str:
    with pytest.raises(FileRefused) as caught:
        report(tmp_path, content, **given_options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- real samples ---


@pytest.mark.parametrize(
    ("name", "money", "rows"),
    [
        ("adgroup_report_device_network.tsv", None, [(date(2026, 8, 20), "1", "ad_group", 10, 1, "9.99")]),
        (
            "campaign_report_currency_with_dashes.tsv",
            None,
            [(date(2026, 8, 1), "111", "campaign", 1000, 50, "1250.75")],
        ),
        (
            "campaign_report_full_with_title_and_total.tsv",
            None,
            [(date(2026, 9, 10), "42", "campaign", 10, 2, "1")],
        ),
        (
            "campaign_report_micros_no_title.tsv",
            None,
            [(date(2019, 9, 2), "338151", "campaign", None, 12578, "9210.75")],
        ),
        (
            "campaign_report_two_days_currency.tsv",
            None,
            [
                (date(2026, 8, 15), "42", "campaign", 1200, 60, "3400.50"),
                (date(2026, 8, 16), "42", "campaign", 900, 41, "2100"),
            ],
        ),
        (
            "campaign_report_by_goal_micros.tsv",
            "micros",
            [(date(2026, 9, 1), "1", "campaign", 100, 10, "1.234567")],
        ),
        ("campaign_report_empty.tsv", None, []),
    ],
)
def test_a_real_report(shared: Path, name: str, money: str | None, rows: list[tuple[Any, ...]]) -> None:
    path = shared / "ad_spend/yandex_direct" / name
    found = read(CONNECTOR, path, currency="RUB", **({"money": money} if money else {}))
    got = [
        (r["spend_date"], r["campaign_id"], r["report_level"], r["impressions"], r["clicks"], r["cost"])
        for r in found.landed
    ]
    assert got == [(*row[:-1], Decimal(row[-1])) for row in rows]
    assert not found.quarantined
    assert found.log.unknown_columns == set()


def test_title_and_count_of_a_real_report_are_told_by_their_place(shared: Path) -> None:
    path = shared / "ad_spend/yandex_direct/campaign_report_full_with_title_and_total.tsv"
    log = read(CONNECTOR, path, currency="RUB").log
    assert log.covers == (date(2026, 9, 10), date(2026, 9, 10))
    assert log.control_totals == {("report", "rows"): Decimal(1)}
    assert log.skipped == {"title": 1, "row count": 1}


def test_an_empty_report_is_a_success_that_covers_nothing(shared: Path) -> None:
    found = read(CONNECTOR, shared / "ad_spend/yandex_direct/campaign_report_empty.tsv", currency="RUB")
    assert found.raw == []
    assert found.log.covers is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("campaign_report_by_goal_micros.tsv", "set `money: micros` or `money: currency`"),
        ("search_query_report_micros.tsv", "leaves spend out"),
        ("error_shape.json", "error answer"),
        ("report_request_doc_example.json", "error answer"),
    ],
)
def test_real_files_that_must_not_become_spend(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        read(CONNECTOR, shared / "ad_spend/yandex_direct" / name, currency="RUB")


# --- the unit of money ---


def row(cost: str, clicks: str = "2", name: str = "ENT") -> str:
    return f"2024-03-01\t1\t{name}\t10\t{clicks}\t{cost}\n"


@pytest.mark.parametrize(
    ("costs", "clicks", "expected"),
    [
        (["1250.75", "0"], "2", ["1250.75", "0"]),  # decimals: currency, whatever else is in the file
        (["20000.00"], "1", ["20000"]),
        (["9210750000"], "12578", ["9210.75"]),  # steps of 10,000 and a click for 732,290
        (["1000000", "0", "500000"], "2", ["1", "0", "0.5"]),
        (["0", "0"], "2", ["0", "0"]),  # nothing spent: the unit does not matter
        (["0", "--"], "2", ["0"]),
    ],
)
def test_the_unit_is_taken_from_the_file_where_it_leaves_no_doubt(
    tmp_path: Path, costs: list[str], clicks: str, expected: list[str]
) -> None:
    found = report(tmp_path, COLUMNS + "".join(row(cost, clicks) for cost in costs))
    assert [r["cost"] for r in found.landed] == [Decimal(cost) for cost in expected]


@pytest.mark.parametrize(
    ("costs", "clicks"),
    [
        (["1250", "3400"], "2"),  # roubles without kopecks, or micros that are no multiples of a kopeck
        (["50000"], "1"),  # 0.05 or 50,000
        (["90000"], "2"),
        (["1000000"], "0"),  # no click to tell by
        (["1000000", "1234567"], "1"),
    ],
)
def test_doubt_about_the_unit_refuses_the_file(tmp_path: Path, costs: list[str], clicks: str) -> None:
    message = refusal(tmp_path, COLUMNS + "".join(row(cost, clicks) for cost in costs))
    assert "may be micros or currency" in message
    assert "`money:" in message


def test_a_configured_unit_decides_what_the_file_leaves_open(tmp_path: Path) -> None:
    text = COLUMNS + row("1250") + row("50001")
    assert [r["cost"] for r in report(tmp_path, text, money="currency").landed] == [
        Decimal(1250),
        Decimal(50001),
    ]
    assert [r["cost"] for r in report(tmp_path, text, money="micros").landed] == [
        Decimal("0.00125"),
        Decimal("0.050001"),
    ]


def test_a_configured_unit_that_contradicts_the_file_refuses_it(tmp_path: Path) -> None:
    assert "correct `money:`" in refusal(tmp_path, COLUMNS + row("9.99"), money="micros")
    assert "correct `money:`" in refusal(tmp_path, COLUMNS + row("9210750000"), money="currency")


@given(
    kopecks=st.lists(st.integers(min_value=10, max_value=10**9), min_size=1, max_size=5),
    in_micros=st.booleans(),
)
def test_the_same_spend_lands_from_either_unit_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, kopecks: list[int], in_micros: bool
) -> None:
    """Never an amount that is off by the factor between the units."""
    rows = "".join(row(str(k * 10_000) if in_micros else f"{Decimal(k) / 100:.2f}", "1") for k in kopecks)
    try:
        found = report(tmp_path_factory.mktemp("yandex"), COLUMNS + rows)
    except FileRefused:
        assert in_micros, "currency with its two decimals leaves no doubt"
    else:
        assert [r["cost"] for r in found.landed] == [Decimal(k) / 100 for k in kopecks]


# --- layout ---


def test_the_count_is_found_in_any_language(tmp_path: Path) -> None:
    found = report(tmp_path, COLUMNS + row("1.00") + "Всего строк: 1\n")
    assert found.log.control_totals["report", "rows"] == 1
    assert len(found.landed) == 1


def test_fewer_rows_than_counted_are_refused(tmp_path: Path) -> None:
    assert "holds 1 of 2 rows" in refusal(tmp_path, COLUMNS + row("1.00") + "Total rows: 2\n")


def test_a_quoted_title_and_quotes_in_names_are_plain_text(tmp_path: Path) -> None:
    text = '"Spend (2024-03-01 - 2024-03-31)"\n' + COLUMNS + row("1.00", name='"ENT" | day')
    found = report(tmp_path, text)
    assert found.log.covers == (date(2024, 3, 1), date(2024, 3, 31))
    assert found.landed[0]["campaign_name"] == '"ENT" | day'


def test_dashes_are_nothing_in_names_and_zero_in_counts(tmp_path: Path) -> None:
    text = "Date\tCampaignId\tAdGroupId\tImpressions\tClicks\tCost\n2024-03-01\t1\t--\t--\t--\t5.00\n"
    landed = report(tmp_path, text).landed[0]
    assert (landed["ad_group_id"], landed["impressions"], landed["clicks"]) == (None, 0, 0)


def test_a_cost_that_is_a_dash_is_quarantined_not_zero(tmp_path: Path) -> None:
    found = report(tmp_path, COLUMNS + row("--") + row("1.00"))
    assert found.reasons == ["cost: is empty but required"]


def test_a_negative_cost_and_a_bad_day_are_quarantined(tmp_path: Path) -> None:
    text = COLUMNS + row("-1.00") + row("2.00").replace("2024-03-01", "01.03.2024") + row("3.00")
    found = report(tmp_path, text)
    assert [q.column for q in found.quarantined] == ["cost", "spend_date"]
    assert [r["cost"] for r in found.landed] == [Decimal(3)]


def test_a_day_outside_the_titles_range_is_quarantined(tmp_path: Path) -> None:
    text = "Spend (2024-03-02 - 2024-03-31)\n" + COLUMNS + row("1.00")
    assert report(tmp_path, text).reasons == [
        "spend_date: lies outside the date range that the report prints"
    ]


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ("Date\tCost", "account"),
        ("Date\tCampaignId\tCost", "campaign"),
        ("Date\tCampaignId\tAdGroupName\tCost", "ad_group"),
        ("Date\tCampaignId\tAdGroupId\tAdId\tCost", "ad"),
        ("Date\tCampaignId\tAdGroupId\tCriterion\tCost", "keyword"),
    ],
)
def test_the_fields_tell_the_level(tmp_path: Path, fields: str, level: str) -> None:
    cells = "\t".join({"Date": "2024-03-01", "Cost": "1.00"}.get(name, "1") for name in fields.split("\t"))
    assert report(tmp_path, f"{fields}\n{cells}\n").landed[0]["report_level"] == level


@pytest.mark.parametrize(("include_vat", "basis"), [(True, "incl"), (False, "excl"), (None, "unknown")])
def test_the_tax_basis_is_what_the_request_asked_for(
    tmp_path: Path, include_vat: bool | None, basis: str
) -> None:
    landed = report(tmp_path, COLUMNS + row("1.00"), include_vat=include_vat).landed[0]
    assert (landed["tax_basis"], landed["currency"], landed["account"]) == (basis, "RUB", "yandex_direct")


def test_an_account_is_named_by_the_source(tmp_path: Path) -> None:
    assert (
        report(tmp_path, COLUMNS + row("1.00"), account="clinic-login").landed[0]["account"] == "clinic-login"
    )


def test_a_field_nobody_knows_is_named_and_the_row_lands(tmp_path: Path) -> None:
    text = "Date\tCampaignId\tCost\tVibes\tConversions_9_AUTO\n2024-03-01\t1\t1.00\tgood\t2\n"
    found = report(tmp_path, text)
    assert found.log.unknown_columns == {"Vibes"}
    assert len(found.landed) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no column line"),
        ("\n\n", "no column line"),
        ("A title (2024-03-01 - 2024-03-31)\n", "no column line"),
        ("<html>\n", "web page"),
        ("CampaignId\tCost\n1\t1.00\n", "no Date column"),
        ("Week\tCampaignId\tCost\n2024-03-04\t1\t1.00\n", "no Date column"),
        ("Date\tCampaignId\n2024-03-01\t1\n", "no Cost column"),
        (COLUMNS + row("1.00") + "2024-03-01\t1\tEN", "cut short"),
        (COLUMNS + row("1.00", name="ENT\tday"), "7 cells under 6 headings"),
        (COLUMNS + row("1.00") + "2024-03-", "has one cell"),
        (COLUMNS + row("1.00") + "Total rows: 1\n" + row("1.00"), "stands alone"),
        (COLUMNS + row("1250,75"), "no numbers with a decimal point"),
        ((COLUMNS + row("1.00", name="ЛОР")).encode("cp1251"), "utf-8"),
    ],
)
def test_what_is_no_whole_daily_report_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert reason in refusal(tmp_path, content)


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_a_report_is_read_whatever_its_bytes(tmp_path: Path, ending: str) -> None:
    text = (COLUMNS + row("1.00", name="ЛОР") + "Total rows: 1").replace("\n", ending or "\n") + ending
    packed = tmp_path / "packed.tsv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    found = [report(tmp_path, text.encode(code)) for code in ("utf-8", "utf-8-sig", "utf-16")]
    found.append(read(CONNECTOR, packed, currency="RUB"))
    assert [[r["campaign_name"] for r in one.landed] for one in found] == [["ЛОР"]] * 4
    assert {one.log.skipped["row count"] for one in found} == {1}


def test_a_count_below_blank_lines_is_the_count(tmp_path: Path) -> None:
    found = report(tmp_path, COLUMNS + row("1.00") + "\n \n" + row("2.00") + "\nTotal rows: 2\n\n")
    assert [r["cost"] for r in found.landed] == [Decimal(1), Decimal(2)]


def test_a_long_report_is_read_block_by_block_and_every_line_counts(tmp_path: Path) -> None:
    lines = [row(f"{n}.25", name=f"ENT {n % 7} " + "x" * 60) for n in range(40_000)]
    found = report(tmp_path, COLUMNS + "".join(lines) + "Total rows: 40000\n")
    assert sum(r["cost"] for r in found.landed) == sum(Decimal(n) for n in range(40_000)) + 10_000
    assert [r.number for r in found.raw] == list(range(2, 40_002))
    broken = [*lines[:30_000], "2024-03-01\t1\n", *lines[30_000:]]
    assert "line 30002 has 2 cells" in refusal(tmp_path, COLUMNS + "".join(broken))


_cells = st.tuples(
    st.sampled_from(["2024-03-01", "2024-03-31", "2024-04-01", "1.3.2024", "--"]),
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8),
    st.sampled_from(["--", "", "0", "12"]),
    st.sampled_from(["--", "0", "1.00", "12.5", "-1.00", "3"]),
)


@given(lines=st.lists(_cells, max_size=20))
def test_every_line_lands_as_it_is_or_is_quarantined(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str, str]]
) -> None:
    body = "".join(f"{day}\t7\t{name}\t{shown}\t1\t{cost}\n" for day, name, shown, cost in lines)
    text = "Spend (2024-03-01 - 2024-03-31)\n" + COLUMNS + body + f"Total rows: {len(lines)}\n"
    found = report(tmp_path_factory.mktemp("yandex"), text, money="currency")
    good = [
        line for line in lines if line[0] in ("2024-03-01", "2024-03-31") and line[3] not in ("--", "-1.00")
    ]
    assert len(found.quarantined) == len(lines) - len(good)
    assert [
        (str(r["spend_date"]), r["campaign_name"], r["impressions"], r["cost"]) for r in found.landed
    ] == [
        (day, None if name == "--" else name, int(shown) if shown.isdigit() else 0, Decimal(cost))
        for day, name, shown, cost in good
    ]


def test_the_unit_is_told_by_all_rows_of_a_long_report(tmp_path: Path) -> None:
    odd = row("1234567") + row("1000000", name="ENT " + "x" * 60) * 30_000
    assert "may be micros or currency" in refusal(tmp_path, COLUMNS + odd)


def test_undecodable_bytes_far_down_refuse_the_file(tmp_path: Path) -> None:
    body = (COLUMNS + row("1.00") * 40_000).encode() + row("1.00", name="ЛОР").encode("cp1251")
    assert "utf-8" in refusal(tmp_path, body)


def test_an_amount_too_large_for_money_is_quarantined(tmp_path: Path) -> None:
    text = COLUMNS + row("9" * 30) + row("1000000")
    found = report(tmp_path, text, money="micros")
    assert found.reasons == ["cost: is absurdly large for an amount"]
    assert [r["cost"] for r in found.landed] == [Decimal(1)]


def test_header_only_is_an_empty_report(tmp_path: Path) -> None:
    assert report(tmp_path, COLUMNS).raw == []
    assert report(tmp_path, COLUMNS.rstrip()).raw == []


def test_the_currency_must_be_configured() -> None:
    with pytest.raises(ValidationError, match="currency"):
        options(CONNECTOR)
    with pytest.raises(ValidationError, match="currency"):
        options(CONNECTOR, currency="₽")
