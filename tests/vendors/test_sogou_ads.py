"""Sogou: its real layouts, with the total above the rows and fewer cells than the header."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.errors import FileRefused
from connectors.sogou_ads import CONNECTOR
from tests.unit.vendor_files import Read, options, read


def sample(shared: Path, name: str) -> Path:
    return shared / "ad_spend" / "sogou" / name


def with_rows(shared: Path, tmp_path: Path, name: str, *rows: str) -> Read:
    """A real header (and total) with rows below it."""
    path = tmp_path / name
    path.write_text(
        sample(shared, name).read_text(encoding="utf-8").rstrip("\n") + "\n" + "\n".join(rows) + "\n",
        encoding="utf-8",
    )
    return read(CONNECTOR, path, account="main")


@pytest.mark.parametrize(
    "name", ["hourly_report_header_and_total_utf8.csv", "region_report_header_and_total_utf8.csv"]
)
def test_the_real_total_row_is_no_spend_and_without_its_rows_the_file_is_refused(
    shared: Path, name: str
) -> None:
    with pytest.raises(FileRefused, match=r"add up to 0, but it prints 4475\.35 as '总计'"):
        read(CONNECTOR, sample(shared, name))


@pytest.mark.parametrize(
    "name", ["query_report_header_and_total_utf8.csv", "query_report_header_and_total_gbk.csv"]
)
def test_a_real_search_term_report_is_refused_in_both_encodings(shared: Path, name: str) -> None:
    with pytest.raises(FileRefused, match="a report by 搜索词 leaves spend out"):
        read(CONNECTOR, sample(shared, name))


def test_the_real_hourly_layout_with_rows(shared: Path, tmp_path: Path) -> None:
    found = with_rows(
        shared,
        tmp_path,
        "hourly_report_header_and_total_utf8.csv",
        "2017-10-22 08:00,clinic,品牌,4000.35,300,13.33",
        "2017-10-22 09:00,clinic,品牌,475.00,75,6.33",
    )
    assert [(row["spend_date"], row["cost"], row["clicks"]) for row in found.landed] == [
        (date(2017, 10, 22), Decimal("4000.35"), 300),
        (date(2017, 10, 22), Decimal(475), 75),
    ]
    assert {row["impressions"] for row in found.landed} == {None}, "no such column is not zero"
    assert {row["report_level"] for row in found.landed} == {"campaign"}
    assert found.log.control_totals == {
        ("总计", "cost"): Decimal("4475.35"),
        ("总计", "clicks"): Decimal(375),
    }


def test_the_real_region_layout_with_rows_reads_its_shifted_total(shared: Path, tmp_path: Path) -> None:
    found = with_rows(
        shared,
        tmp_path,
        "region_report_header_and_total_utf8.csv",
        "1,2017-10-22,clinic,品牌,四川,成都,4000.35,89.39%,300,80%,13.33",
        "2,2017-10-22,clinic,品牌,其他,其他,475.00,10.61%,75,20%,6.33",
    )
    assert sum(row["cost"] for row in found.landed) == Decimal("4475.35")
    assert found.log.control_totals["总计", "cost"] == Decimal("4475.35")
    assert found.log.unknown_columns == set()


def test_the_real_desktop_client_layout_takes_its_day_from_the_first_line(
    shared: Path, tmp_path: Path
) -> None:
    name = "keyword_client_export_header_utf8.csv"
    row = '"clinic","品牌","有效","启用","500","开","组1","2","启用","有效",'
    row += '"口腔","有效","启用","8","8","精确","2","u","m","能"'
    creative = ',"","","","","","","","",""'
    found = with_rows(
        shared,
        tmp_path,
        name,
        f'{row}{creative},"12.50","2.50","5","100","5%",',
        f'{row}{creative},"0.00","--","0","3","0%",',
    )
    first = found.landed[0]
    assert first["spend_date"] == date(2017, 10, 22)
    assert (first["account"], first["ad_group"], first["keyword"]) == ("main", "组1", "口腔")
    assert (first["report_level"], first["cost"], first["impressions"]) == ("keyword", Decimal("12.5"), 100)
    assert len(found.landed) == 2
    assert found.log.unknown_columns == set()


def test_a_client_export_over_several_days_or_of_one_device_is_refused(shared: Path, tmp_path: Path) -> None:
    text = sample(shared, "keyword_client_export_header_utf8.csv").read_text(encoding="utf-8")
    path = tmp_path / "r.csv"
    path.write_text(text.replace("2017/10/22 -", "2017/10/01 -"), encoding="utf-8")
    with pytest.raises(FileRefused, match="prints no single day"):
        read(CONNECTOR, path)
    path.write_text(text.replace("全部设备", "移动设备"), encoding="utf-8")
    with pytest.raises(FileRefused, match="some devices only"):
        read(CONNECTOR, path)


def test_a_client_export_with_keywords_and_creatives_below_them_is_refused(
    shared: Path, tmp_path: Path
) -> None:
    name = "keyword_client_export_header_utf8.csv"
    empty = '""'
    keyword = ",".join(['"clinic"', '"品牌"', *[empty] * 4, '"组"', *[empty] * 3, '"口腔"', *[empty] * 18])
    creative = ",".join(['"clinic"', '"品牌"', *[empty] * 4, '"组"', *[empty] * 13, '"标题"', *[empty] * 8])
    money = ',"1.00","1.00","1","9","1%",'
    with pytest.raises(FileRefused, match="rows by keyword and by ad"):
        with_rows(shared, tmp_path, name, keyword + money, creative + money)


def test_groups_are_ad_groups_and_not_campaigns(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        "日期,账户,推广计划,推广组,消耗,点击数\n2017-10-22,a,计划,组,1.00,1\n", encoding="gb18030"
    )
    row = read(CONNECTOR, path).landed[0]
    assert (row["campaign_name"], row["ad_group"], row["report_level"]) == ("计划", "组", "ad_group")


def test_there_is_no_route_to_an_api() -> None:
    source = options(CONNECTOR)
    assert CONNECTOR.route(source, CONNECTOR.stream) is None
