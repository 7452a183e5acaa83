"""Shenma: its real layouts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.errors import FileRefused
from connectors.shenma_ads import CONNECTOR
from tests.unit.vendor_files import Read, read


def with_rows(shared: Path, tmp_path: Path, name: str, *rows: str) -> Read:
    header = (shared / "ad_spend" / "shenma" / name).read_text(encoding="utf-8").strip()
    path = tmp_path / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="gb18030")
    return read(CONNECTOR, path, account="main")


@pytest.mark.parametrize("name", ["hourly", "keyword", "region"])
def test_a_real_header_alone_is_an_empty_report(shared: Path, name: str) -> None:
    found = read(CONNECTOR, shared / "ad_spend" / "shenma" / f"{name}_report_header_utf8.csv", account="main")
    assert found.raw == []
    assert found.log.unknown_columns == set()


def test_a_real_search_term_report_is_refused(shared: Path) -> None:
    with pytest.raises(FileRefused, match="搜索词"):
        read(CONNECTOR, shared / "ad_spend" / "shenma" / "query_report_header_utf8.csv")


def test_the_keyword_stands_before_the_campaign(shared: Path, tmp_path: Path) -> None:
    found = with_rows(
        shared,
        tmp_path,
        "keyword_report_header_utf8.csv",
        '"2017-10-22","种植牙","有效","启用","2.0","精确","http://x","组","计划","1,012.50","2.50","405","9,000","4.5%"',
    )
    row = found.landed[0]
    assert (row["keyword"], row["campaign_name"], row["ad_group"]) == ("种植牙", "计划", "组")
    assert (row["cost"], row["clicks"], row["impressions"]) == (Decimal("1012.5"), 405, 9000)
    assert (row["report_level"], row["spend_date"]) == ("keyword", date(2017, 10, 22))


def test_hours_and_regions_are_rows_of_their_day(shared: Path, tmp_path: Path) -> None:
    hours = with_rows(
        shared,
        tmp_path,
        "hourly_report_header_utf8.csv",
        "2017-10-22 08:00,a,x,9,2,10.00,1%,5",
        "2017-10-22 09:00,a,x,9,2,10.00,1%,5",
    )
    assert sum(row["cost"] for row in hours.landed) == 20
    regions = with_rows(
        shared,
        tmp_path,
        "region_report_header_utf8.csv",
        "2017-10-22,a,x,510100,四川,成都,9,2,7.00,1%,5",
        "2017-10-22,a,x,0,其他,其他,9,2,3.00,1%,5",
    )
    assert sum(row["cost"] for row in regions.landed) == 10
    assert {row["report_level"] for row in regions.landed} == {"campaign"}
    assert {row["account"] for row in regions.landed} == {"main"}
