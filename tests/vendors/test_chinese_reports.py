"""What the consoles of six Chinese platforms have in common: days, amounts, conditions, totals, encodings."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import _chinese_cells, _chinese_reports, baidu_ads, registry, sogou_ads
from connectors._chinese_tokens import read_pair
from connectors.contract import Block, ReadLog
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.privacy import Privacy
from pipelines.config import load_clinic
from pipelines.landing import Landing
from tests.unit.vendor_files import Read, options, read

SOGOU = "时间,账户,推广计划,消耗,点击数,点击均价\n"
SHENMA = "日期,账户,推广计划,展现量,点击量,消费,点击率,平均点击价格\n"
BAIDU = (
    "数据生成时间：2017-10-16 14:06\n数据生成条件：\n1. 时间范围：20171009至20171015\n2. 时间单位：分日\n"
    "3. 推广设备：移动设备，计算机\n4. 投放网络：全部\n\n"
)
BAIDU_HEAD = "日期,账户,推广计划,展现,点击,消费,点击率,平均点击价格\n"

Write = Callable[..., Read]


@pytest.fixture
def spend(tmp_path: Path) -> Write:
    """Write a file and read it as a kind."""

    def run(content: str | bytes, kind: str = "sogou_ads", name: str = "report.csv", **settings: Any) -> Read:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(registry.connector(kind), path, "ad_spend", **settings)

    return run


@pytest.fixture
def refusal(spend: Write) -> Callable[..., str]:
    """Write a file and give the one line with which it is refused."""

    def run(content: str | bytes, kind: str = "sogou_ads", **settings: Any) -> str:
        with pytest.raises(FileRefused) as caught:
            spend(content, kind, **settings)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return run


# --- days --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "2017-10-09",
        "2017-10-9",
        "2017/10/09",
        "2017/10/9",
        "2017.10.9",
        "20171009",
        "2017年10月9日",
        "2017-10-09 23:00",
        "2017-10-09 23:00:00",
        "2017-10-09 23",
        "2017-10-09 23时",
        "2017-10-09 08:00-09:00",
        "2017-10-09T08:00:00",
        "2017-10-09至2017-10-09",
        "2017/10/9 - 2017/10/9",
        "2017-10-09~2017-10-09",
    ],
)
def test_days_as_the_consoles_write_them(text: str) -> None:
    assert _chinese_cells.read_day(text) == date(2017, 10, 9)


@pytest.mark.parametrize("text", ["2017-10-01至2017-10-09", "2017/10/1 - 2017/10/9", "2017-10", "2017年10月"])
def test_a_period_is_no_day(text: str) -> None:
    with pytest.raises(ValueError, match=r"month|period"):
        _chinese_cells.read_day(text)


@pytest.mark.parametrize(
    "text", ["", "--", "总计", "2017-02-30", "2017-13-01", "09.10.2017", "171009", "43017"]
)
def test_what_is_no_day_is_none(text: str) -> None:
    assert _chinese_cells.read_day(text) is None


SHAPES = ["{0:%Y-%m-%d}", "{0:%Y/%m/%d}", "{0:%Y%m%d}", "{0.year}年{0.month}月{0.day}日"]


@given(day=st.dates(min_value=date(1900, 1, 1)), shape=st.sampled_from(SHAPES))
def test_every_day_comes_back_in_every_shape(day: date, shape: str) -> None:
    assert _chinese_cells.read_day(shape.format(day)) == day


# --- amounts -----------------------------------------------------------------------------------------


@given(fen=st.integers(min_value=0, max_value=10**12), is_grouped=st.booleans())
def test_amounts_come_back_as_printed(fen: int, is_grouped: bool) -> None:
    amount = Decimal(fen) / 100
    text = f"{amount:,.2f}" if is_grouped else f"{amount:.2f}"
    assert _chinese_cells.amount(text) == amount


@pytest.mark.parametrize("text", ["1,5", "1.234.567", "4.2%", "1.2万", "--", "", "abc", "1,23,456", "..5"])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert _chinese_cells.amount(text) is None


def test_an_amount_in_another_format_refuses_the_file(refusal: Callable[..., str]) -> None:
    text = refusal(SOGOU + '2017-10-22,a,x,"1.234,50",3,1\n')
    assert "line 2" in text
    assert "消耗" in text
    assert "点击数" in refusal(SOGOU + "2017-10-22,a,x,1.50,3.5,1\n")


# --- totals ------------------------------------------------------------------------------------------

_AMOUNTS = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=12)


@given(fen=_AMOUNTS, place=st.integers(min_value=0, max_value=20), is_shifted=st.booleans(), data=st.data())
def test_a_total_is_never_spend_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory,
    fen: list[int],
    place: int,
    is_shifted: bool,
    data: st.DataObject,
) -> None:
    rows = [f"{n},2017-10-22,a,c{n},p,q,{Decimal(f) / 100:.2f},1%,1,1%,1.00" for n, f in enumerate(fen)]
    total = f"{Decimal(sum(fen)) / 100:.2f},{len(fen)}"
    line = f"总计,--,--,{total},{Decimal(sum(fen)) / 100 / len(fen):.2f}"
    if not is_shifted:
        line = f"总计,--,--,--,--,--,{total.split(',')[0]},--,{len(fen)},--,--"
    rows = data.draw(st.permutations(rows))
    rows.insert(min(place, len(rows)), line)
    path = tmp_path_factory.mktemp("spend") / "region.csv"
    head = "编号,日期,账户,推广计划,省级地域,市级地域,消耗,消耗占比,点击数,点击数占比,点击均价"
    path.write_text("\n".join([head, *rows]), encoding="gb18030")
    found = read(sogou_ads.CONNECTOR, path)
    assert sorted(row["campaign_name"] for row in found.landed) == sorted(f"c{n}" for n in range(len(fen)))
    assert sum(row["cost"] for row in found.landed) == Decimal(sum(fen)) / 100
    assert found.log.control_totals == {
        ("总计", "cost"): Decimal(sum(fen)) / 100,
        ("总计", "clicks"): Decimal(len(fen)),
    }
    assert found.log.skipped == {"preamble": 1, "total row": 1}


def test_rows_that_do_not_add_up_to_the_total_are_refused(refusal: Callable[..., str]) -> None:
    rows = "2017-10-22,a,x,10.00,2,5\n"
    assert "rows are missing" in refusal(SOGOU + "总计,--,--,15.00,3,5.00\n" + rows)
    assert "counted twice" in refusal(SOGOU + rows + rows + "总计,--,--,10.00,2,5.00\n")


def test_fen_lost_by_printing_are_no_missing_rows(spend: Write) -> None:
    rows = "".join(f"2017-10-22,a,c{n},0.33,1,0.33\n" for n in range(30))
    assert len(spend(SOGOU + "总计,--,--,10.00,30,0.33\n" + rows).landed) == 30


def test_a_pages_own_total_is_kept_and_not_held_against_all_rows(spend: Write) -> None:
    rows = "2017-10-22,a,x,10.00,2,5\n2017-10-22,a,y,1.00,1,1\n本页合计,--,--,10.00,2,5.00\n"
    found = spend(SOGOU + rows)
    assert len(found.landed) == 2
    assert found.log.control_totals["本页合计", "cost"] == 10


def test_a_total_that_cannot_be_read_is_said(spend: Write) -> None:
    found = spend(SOGOU + "2017-10-22,a,x,10.00,2,5\n总计,,,见附件,,\n")
    assert len(found.landed) == 1
    assert "could not be read" in found.log.notes[0]


def test_a_total_in_a_dated_row_is_a_subtotal_and_refuses_the_file(refusal: Callable[..., str]) -> None:
    assert "subtotals" in refusal(SOGOU + "2017-10-22,a,x,10.00,2,5\n2017-10-22,合计,,10.00,2,5\n")


def test_a_row_without_day_and_campaign_is_a_total_without_its_label(spend: Write) -> None:
    found = spend(SHENMA + "2017-10-22,a,x,9,2,10.00,1%,5\n,,,9,2,10.00,,\n", "shenma_ads")
    assert len(found.landed) == 1
    assert found.log.control_totals["total", "cost"] == 10


# --- conditions --------------------------------------------------------------------------------------


def test_the_conditions_of_a_report_are_read(spend: Write) -> None:
    found = spend(BAIDU + BAIDU_HEAD + "2017-10-10,a,x,9,2,10.00,1%,5\n", "baidu_ads")
    assert found.log.covers == (date(2017, 10, 9), date(2017, 10, 15))
    assert found.log.exported_at is not None
    assert found.log.exported_at.isoformat() == "2017-10-16T14:06:00+08:00"
    assert found.landed[0]["spend_date"] == date(2017, 10, 10)


@pytest.mark.parametrize(
    ("line", "other", "reason"),
    [
        ("移动设备，计算机", "移动设备", "some devices only"),
        ("移动设备，计算机", "计算机", "some devices only"),
        ("投放网络：全部", "投放网络：搜索合作网络", "filtered by 投放网络"),
        ("分日", "合计", "sums of several days"),
        ("分日", "分周", "sums of several days"),
        ("分日", "分月", "sums of several days"),
    ],
)
def test_a_report_of_a_part_or_of_several_days_is_refused(
    refusal: Callable[..., str], line: str, other: str, reason: str
) -> None:
    content = BAIDU.replace(line, other) + BAIDU_HEAD + "2017-10-10,a,x,9,2,10.00,1%,5\n"
    text = refusal(content, "baidu_ads")
    assert reason in text
    assert "搜索合作网络" not in text, "what was filtered for may be anything"


def test_all_devices_in_other_words_are_all_devices(spend: Write) -> None:
    for words in ("全部", "全部设备", "计算机、移动设备", "计算机,移动设备"):
        content = BAIDU.replace("移动设备，计算机", words) + BAIDU_HEAD + "2017-10-10,a,x,9,2,10.00,1%,5\n"
        assert len(spend(content, "baidu_ads").landed) == 1


def test_a_sum_over_one_day_is_that_day(spend: Write) -> None:
    preamble = BAIDU.replace("20171009至20171015", "20171009").replace("分日", "合计")
    found = spend(preamble + BAIDU_HEAD + "2017-10-09至2017-10-09,a,x,9,2,10.00,1%,5\n", "baidu_ads")
    assert found.landed[0]["spend_date"] == date(2017, 10, 9)


def test_rows_of_a_period_refuse_the_file(refusal: Callable[..., str]) -> None:
    text = refusal(SHENMA + "2017-10-01至2017-10-09,a,x,9,2,10.00,1%,5\n", "shenma_ads")
    assert "period of several days" in text
    assert "分日" in text


def test_hours_without_a_day_are_refused_and_with_one_are_rows_of_it(
    refusal: Callable[..., str], spend: Write
) -> None:
    rows = "8,a,x,9,2,10.00,1%,5\n08:00-09:00,a,x,9,2,10.00,1%,5\n"
    assert "is an hour" in refusal(SHENMA.replace("日期", "时间") + rows, "shenma_ads")
    dated = "时间范围：2017-10-09\n" + SHENMA.replace("日期", "时间") + rows
    assert [row["spend_date"] for row in spend(dated, "shenma_ads").landed] == [date(2017, 10, 9)] * 2


def test_two_hours_alike_are_both_money(spend: Write) -> None:
    row = "2017-10-09,8,a,x,9,2,10.00,1%,5\n"
    head = BAIDU_HEAD.replace("日期,", "日期,小时,")
    found = spend(BAIDU.replace("分日", "分时") + head + row + row, "baidu_ads")
    assert sum(row["cost"] for row in found.landed) == 20


def test_a_report_without_days_is_refused_with_where_to_click(refusal: Callable[..., str]) -> None:
    text = refusal(SHENMA.removeprefix("日期,") + "a,x,9,2,10.00,1%,5\n", "shenma_ads")
    assert "no column 日期" in text
    assert "分日" in text


# --- rows --------------------------------------------------------------------------------------------


def test_bad_rows_are_quarantined_and_the_rest_lands(spend: Write) -> None:
    found = spend(
        BAIDU
        + BAIDU_HEAD
        + "2017-10-10,a,x,9,2,-1.00,1%,5\n2017-02-30,a,x,9,2,1.00,1%,5\n2017-11-01,a,x,9,2,1.00,1%,5\n"
        "2017-10-10,a,x,9,2,--,1%,5\n2017-10-10,a,y,--,--,3.00,1%,5\n",
        "baidu_ads",
    )
    assert found.reasons == [
        "cost: is negative, which spend never is; credits belong into a cost sheet",
        "spend_date: is not a day",
        "spend_date: lies outside the period that the report prints",
        "cost: is empty but required",
    ]
    assert [(row["campaign_name"], row["clicks"], row["impressions"]) for row in found.landed] == [
        ("y", 0, 0)
    ]


def test_an_id_that_a_spreadsheet_ruined_is_quarantined(spend: Write) -> None:
    head = BAIDU_HEAD.replace("推广计划,", "推广计划,推广计划ID,")
    rows = "2017-10-10,a,x,1.23E+10,9,2,1.00,1%,5\n2017-10-10,a,y,29154641801234567,9,2,1.00,1%,5\n"
    found = spend(BAIDU + head + rows, "baidu_ads")
    assert [q.column for q in found.quarantined] == ["campaign_id"]
    assert [row["campaign_id"] for row in found.landed] == ["29154641801234567"]


def test_the_mark_of_a_deleted_campaign_is_stripped_and_kept_as_a_flag(spend: Write) -> None:
    rows = "2017-10-10,a,品牌[已删除],9,2,1.00,1%,5\n2017-10-10,a,品牌,9,2,1.00,1%,5\n"
    found = spend(BAIDU + BAIDU_HEAD + rows, "baidu_ads")
    assert [(row["campaign_name"], row["campaign_is_deleted"]) for row in found.landed] == [
        ("品牌", True),
        ("品牌", False),
    ]


def test_headings_are_found_in_any_order_with_units_and_stray_tabs(spend: Write) -> None:
    plain = spend(SHENMA + "2017-10-22,a,x,9,2,10.00,1%,5\n", "shenma_ads")
    head = "平均点击价格, 消费（元） ,点击量（次）,推广计划,账户,展现量,点击率%,日期\t\n"
    odd = head + "5,10.00,2,x,a,9,1%,2017-10-22\n"
    assert spend(odd, "shenma_ads").landed == plain.landed


def test_a_column_nobody_knows_is_named_and_the_row_lands(spend: Write) -> None:
    found = spend(SHENMA.replace("账户,", "账户,心情,") + "2017-10-22,a,好,x,9,2,10.00,1%,5\n", "shenma_ads")
    assert found.log.unknown_columns == {"心情"}
    assert len(found.landed) == 1


def test_accounts_come_from_the_file_unless_the_source_names_one(
    refusal: Callable[..., str], spend: Write
) -> None:
    two = SHENMA + "2017-10-22,a,x,9,2,10.00,1%,5\n2017-10-22,b,x,9,2,10.00,1%,5\n"
    assert [row["account"] for row in spend(two, "shenma_ads").landed] == ["a", "b"]
    assert "several accounts" in refusal(two, "shenma_ads", account="main")
    none = SHENMA.replace("账户,", "") + "2017-10-22,x,9,2,10.00,1%,5\n"
    assert "names no account" in refusal(none, "shenma_ads")
    assert spend(none, "shenma_ads", account="main").landed[0]["account"] == "main"


def test_days_are_of_beijing_money_is_yuan_and_the_tax_basis_is_the_clinics_word(spend: Write) -> None:
    content = SHENMA + "2017-10-22,a,x,9,2,10.00,1%,5\n"
    row = spend(content, "shenma_ads").landed[0]
    assert (row["currency"], row["tax_basis"]) == ("CNY", "unknown")
    assert spend(content, "shenma_ads", include_vat=True).landed[0]["tax_basis"] == "incl"
    assert spend(content, "shenma_ads", include_vat=False).landed[0]["tax_basis"] == "excl"
    assert options(registry.connector("shenma_ads")).zone.key == "Asia/Shanghai"


# --- files -------------------------------------------------------------------------------------------

_TEXT = SHENMA + "2017-10-22,门诊,口腔种植,9,2,10.00,1%,5\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_every_encoding_gives_the_same_rows(spend: Write, encoding: str) -> None:
    row = spend(_TEXT.encode(encoding), "shenma_ads").landed[0]
    assert (row["account"], row["campaign_name"]) == ("门诊", "口腔种植")


def test_tabs_gzip_and_a_workbook_give_the_same_rows(spend: Write) -> None:
    plain = spend(_TEXT, "shenma_ads").landed
    assert spend(_TEXT.replace(",", "\t"), "shenma_ads", "report.tsv").landed == plain
    assert spend(gzip.compress(_TEXT.encode()), "shenma_ads", "report.csv.gz").landed == plain
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for line in _TEXT.splitlines():
        page.append(line.split(","))
    for day in (datetime(2017, 10, 22), 20171022, 43030):
        cell = page.cell(2, 1, day)
        if not isinstance(day, datetime):
            cell.number_format = "General"
        for column, value in ((4, 9), (5, 2), (6, 10.0)):
            page.cell(2, column, value)
        packed = io.BytesIO()
        book.save(packed)
        assert spend(packed.getvalue(), "shenma_ads", "report.xlsx").landed == plain


def test_a_workbook_with_data_on_two_sheets_is_refused(refusal: Callable[..., str], spend: Write) -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for line in _TEXT.splitlines():
        page.append(line.split(","))
    second = book.create_sheet()
    packed = io.BytesIO()
    book.save(packed)
    assert len(spend(packed.getvalue(), "shenma_ads", "report.xlsx").landed) == 1
    second.append(["性别", "消费"])
    packed = io.BytesIO()
    book.save(packed)
    assert "2 sheets" in refusal(packed.getvalue(), "shenma_ads", name="report.xlsx")


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "r.csv", "is empty"),
        ("<html><table>", "r.csv", "web page"),
        ("<html><table>", "r.xls", "old .xls"),
        ("a,b\n1,2\n", "r.csv", "no header with 消费 and 点击量"),
        (SHENMA.replace("消费,", ""), "r.csv", "no column 消费"),
        (SHENMA + "2017-10-22,a,x,9,2,10", "r.csv", "cut short"),
        (SHENMA + "2017-10-22,a,x,y,9,2,10.00,1%,5\n", "r.csv", "a name holds a comma"),
        (SHENMA + '2017-10-22,a,"x,9', "r.csv", "cut short"),
        (SHENMA + ",a,x,9,2,10.00,1%,5\n", "r.csv", "no date"),
        (SHENMA + "2017-10-22,a,x\ufffd\ufffd,9,2,10.00,1%,5\n", "r.csv", "wrong encoding"),
        (
            SHENMA.replace("点击率", "展示") + "2017-10-22,a,x,9,2,1,1,5\n",
            "r.csv",
            "two columns mean impressions",
        ),
        (SHENMA.encode() + b"2017-10-22,a,\xff\xfe,9,2,1,1,5\n", "r.csv", "gb18030"),
        (b"PK\x03\x04broken", "r.xlsx", "not a readable XLSX"),
        ("{}", "r.json", "is JSON"),
        (SHENMA.replace("推广计划", "搜索词"), "r.csv", "leaves spend out"),
    ],
)
def test_what_cannot_be_daily_spend_is_refused_whole(
    refusal: Callable[..., str], content: str | bytes, name: str, reason: str
) -> None:
    assert reason in refusal(content, "shenma_ads", name=name)


def test_a_report_without_rows_lands_nothing_and_is_no_error(spend: Write) -> None:
    assert spend(SHENMA, "shenma_ads").raw == []


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["2017-10-22", "2017/10/23", "2017-02-30", "昨天"]),
            st.integers(min_value=-500, max_value=10**9),
            st.integers(min_value=0, max_value=10**6),
        ),
        max_size=20,
    )
)
def test_every_row_lands_or_is_quarantined(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, int]]
) -> None:
    lines = [f"{day},a,x,9,{clicks},{Decimal(fen) / 100:.2f},1%,5" for day, fen, clicks in rows]
    path = tmp_path_factory.mktemp("spend") / "r.csv"
    path.write_text(SHENMA + "\n".join(lines), encoding="utf-8")
    found = read(registry.connector("shenma_ads"), path)
    good = [fen for day, fen, _ in rows if fen >= 0 and day.startswith(("2017-10", "2017/10"))]
    assert len(found.raw) == len(rows)
    assert sum((row["cost"] for row in found.landed), Decimal(0)) == Decimal(sum(good)) / 100


# --- blocks ------------------------------------------------------------------------------------------

CELLS = {
    "日期": ["2017-10-22", "2017/10/23", "2017年10月24日", " 20171025", "8", "", "--", "2017-02-30",
            "2031-01-01"],
    "账户": ["a", " a ", "b", "", "--"],
    "推广计划": ["x", "品牌", "品牌[已删除]", "[已删除]", "--", "", "合计", "统计", "x\ufffd", "\u2028y",
              "#N/A"],
    "推广计划ID": ["1", "1.23E+10", "29154641801234567", "#NULL!", "ab3e7", "", "-"],
    "推广单元": ["g", "g【已删除】", ""],
    "关键词": ["k", "", " k"],
    "创意": ["c", ""],
    "地域ID": ["7", "", "总计", "小计(3)"],
    "展现量": ["9", "1,234", "3.00", "3.5", "--", "", "１２", "-1", "99999999999999999999"],
    "点击量": ["2", "0", "", "1 234"],
    "消费": ["1.00", "0", "1,234.50", ".5", "5.", "-1.00", "--", "", "0.1234567", "1000000000000",
            "¥5", "1,5", "x"],
}  # fmt: skip
# The first of each is what most rows have.
_CHOICES = {name: st.sampled_from([cells[0]] * 8 * len(cells) + cells) for name, cells in CELLS.items()}
_ODD_LINES = ["", ",,", "总计,--,--,5.00,3", "2017-10-22,a", " , ,", "合计" + "," * 11, "a" + "," * 30]


def _read_or_refused(path: Path, **settings: Any) -> Any:
    try:
        found = read(registry.connector("shenma_ads"), path, "ad_spend", **settings)
    except FileRefused as error:
        return str(error)
    return found.landed, found.quarantined, found.log


@given(data=st.data())
def test_blocks_give_what_their_lines_give(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    dropped = data.draw(st.sets(st.sampled_from(sorted(CELLS.keys() - {"消费", "点击量"})), max_size=4))
    names = [name for name in data.draw(st.permutations(sorted(CELLS))) if name not in dropped]
    rows = data.draw(st.lists(st.tuples(*(_CHOICES[name] for name in names)), min_size=1, max_size=12))
    is_quoted = data.draw(st.booleans())
    lines = [
        ",".join(f'"{cell}"' if is_quoted or "," in cell else cell for cell in row) for row in (names, *rows)
    ]
    for odd in data.draw(st.lists(st.sampled_from(_ODD_LINES), max_size=1)):
        lines.insert(data.draw(st.integers(1, len(lines))), odd)
    head = data.draw(st.sampled_from(["", "2017-10-22\n", "时间范围：2017-10-22至2017-10-24\n"]))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    path = tmp_path_factory.mktemp("spend") / "r.csv"
    encoding = data.draw(st.sampled_from(["utf-8-sig", "gb18030", "utf-16"]))
    path.write_bytes((head + end.join(lines)).encode(encoding))
    settings = data.draw(st.sampled_from([{}, {"account": "main"}]))
    found = _read_or_refused(path, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_chinese_reports, "cuts_plainly", lambda *_: False)
        assert found == _read_or_refused(path, **settings)


def test_a_report_is_read_in_blocks_around_its_odd_rows(tmp_path: Path) -> None:
    rows = [f"2017-10-22,a,x{n % 3},9,2,1.00,1%,5" for n in range(3000)]
    rows[1000] = "2017-10-22,a,x,9,2,-1.00,1%,5"
    rows.insert(2000, "总计,--,--,27000,6000,2998.00,,")
    path = tmp_path / "r.csv"
    path.write_text(SHENMA + "\n".join(rows), encoding="gb18030")
    connector = registry.connector("shenma_ads")
    source = options(connector)
    records = list(connector.read(InboxFile(path), connector.streams(source)[0], source, ReadLog()))
    assert [len(record) if isinstance(record, Block) else record.number for record in records] == [
        1000,
        1002,
        999,
        1000,
    ]


# --- products ----------------------------------------------------------------------------------------

CLINIC = """
clinic: {name: Test, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}
sources:
  baidu: {kind: baidu_ads, account: main}
"""


def test_a_feed_report_never_replaces_search_spend(tmp_path: Path) -> None:
    (tmp_path / "clinic.yaml").write_text(CLINIC)
    clinic = load_clinic(tmp_path / "clinic.yaml", tmp_path / "data")
    landing = Landing(clinic, Privacy(b"k" * 32, "HR"))
    landing.prepare()
    inbox = tmp_path / "data" / "inbox" / "baidu" / "ad_spend"
    feed = "数据生成时间：2017-10-16 15:06\n数据生成条件：\n1. 时间范围：20171009至20171015\n\n"

    def drop(name: str, content: str) -> None:
        (inbox / name).write_text(content, encoding="gb18030")
        os.utime(inbox / name, (1_600_000_000, 1_600_000_000))

    drop("search.csv", BAIDU + BAIDU_HEAD + "2017-10-10,a,x,9,2,10.00,1%,5\n")
    drop("feed.csv", feed + BAIDU_HEAD + "2017-10-10,a,x,9,2,7.00,1%,5\n")
    drop("later.csv", BAIDU.replace("-16 14", "-17 14") + BAIDU_HEAD + "2017-10-10,a,x,9,2,11.00,1%,5\n")
    records = landing.land("baidu_ads", "ad_spend")
    assert [record.status for record in records] == ["landed"] * 3
    place = tmp_path / "data" / "landing" / "baidu_ads" / "ad_spend" / "source=baidu"
    files = json.loads((place / "manifest.json").read_text())["files"]
    rows = [row for name in files for row in pq.read_table(place / name).to_pylist()]
    assert sorted((row["product"], row["cost"]) for row in rows) == [("feed", 7), ("search", 11)]


# --- token files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"access_token": "a", "refresh_token": "r"}',
        '{"code": 0, "data": {"accessToken": "a", "refreshToken": "r", "expiresIn": 86400}}',
        '\ufeff{"code": 0, "message": "OK", "data": {"access_token": "a", "refresh_token": "r"}}',
    ],
)
def test_a_token_file_is_ours_or_the_vendors_answer(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text, encoding="utf-8")
    assert read_pair(path) == ("a", "r")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("s3cr3t", "is not JSON"),
        ("[]", "no JSON object"),
        ('{"access_token": "s3cr3t"}', "no refresh"),
    ],
)
def test_a_token_file_that_will_not_do_is_one_clear_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    given_options = {"token_file": path, "app_id": "1", "app_secret": "s", "user_name": "u", "user_id": "7"}
    with pytest.raises(ValidationError) as caught:
        options(baidu_ads.CONNECTOR, **given_options)
    message = caught.value.errors()[0]["msg"]
    assert reason in message
    assert "s3cr3t" not in message
    with pytest.raises(ValidationError, match="cannot be read"):
        options(baidu_ads.CONNECTOR, **{**given_options, "token_file": tmp_path / "none.json"})


def test_half_a_sign_in_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text('{"access_token": "a", "refresh_token": "r"}')
    for kind, setting in (
        ("baidu_ads", "user_name"),
        ("ocean_engine", "advertiser_id"),
        ("tencent_ads", "account_id"),
    ):
        connector = registry.connector(kind)
        with pytest.raises(ValidationError, match=f"`token` needs `{setting}`"):
            options(connector, token="t")
        with pytest.raises(ValidationError, match="not both"):
            options(connector, token="t", token_file=path, **{setting: "1"})
        with pytest.raises(ValidationError, match="needs `app_id` and `app_secret`"):
            options(connector, token_file=path, **{setting: "1"})
        source = options(connector)
        assert connector.route(source, connector.streams(source)[0]) is None
    assert stat.S_ISREG(path.stat().st_mode)
