"""360: exports without a day, product lines, and the display report's answers."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import FileRefused
from connectors.qihoo360_ads import CONNECTOR
from tests.unit.vendor_files import Read, read


def sample(shared: Path, name: str) -> Path:
    return shared / "ad_spend" / "qihoo360" / name


def spend(tmp_path: Path, content: str, name: str = "r.csv", **settings: Any) -> Read:
    path = tmp_path / name
    path.write_text(content, encoding="gb18030")
    return read(CONNECTOR, path, **settings)


def refusal(tmp_path: Path, content: str, **settings: Any) -> str:
    with pytest.raises(FileRefused) as caught:
        spend(tmp_path, content, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["keyword_export_header_utf8.csv", "region_report_header_utf8.csv"])
def test_a_real_export_without_a_day_is_refused_with_where_to_click(shared: Path, name: str) -> None:
    with pytest.raises(FileRefused, match="分日"):
        read(CONNECTOR, sample(shared, name), account="main")


def test_a_real_search_term_report_is_refused(shared: Path) -> None:
    with pytest.raises(FileRefused, match="搜索词"):
        read(CONNECTOR, sample(shared, "query_report_header_utf8.csv"))


def test_the_real_keyword_layout_by_day_is_search_and_its_price_column_is_not_read(
    shared: Path, tmp_path: Path
) -> None:
    header = sample(shared, "keyword_export_header_utf8.csv").read_text(encoding="utf-8").strip()
    row = '"2018-06-10","1","计划","组","种植牙","精确","2","u","m","8","8","启用",'
    row += '"3","120","4.65","2.5%","1.55"'
    found = spend(tmp_path, f'"日期",{header}\n{row}\n', account="main")
    landed = found.landed[0]
    assert (landed["product"], landed["report_level"], landed["keyword"]) == ("search", "keyword", "种植牙")
    assert (landed["cost"], landed["clicks"], landed["impressions"]) == (Decimal("4.65"), 3, 120)
    assert (landed["campaign_name"], landed["ad_group"]) == ("计划", "组")
    assert found.log.unknown_columns == set()


def test_the_real_region_layout_by_day_tells_search_from_display(shared: Path, tmp_path: Path) -> None:
    header = sample(shared, "region_report_header_utf8.csv").read_text(encoding="utf-8").strip()
    rows = "2018-06-10,a,搜索推广,计划,四川,成都,90,3,3.33%,4.65,1.55\n"
    rows += "2018-06-10,a,展示广告,计划,四川,成都,90,3,3.33%,2.00,0.67\n"
    rows += "2018-06-10,a,,计划,四川,成都,90,3,3.33%,1.00,0.33\n"
    found = spend(tmp_path, f"日期,{header}\n{rows}")
    assert [(row["product"], row["cost"]) for row in found.landed] == [
        ("search", Decimal("4.65")),
        ("display", Decimal(2)),
        ("search", Decimal(1)),
    ]
    assert {row["account"] for row in found.landed} == {"a"}


def test_a_report_of_an_unknown_product_needs_the_clinics_word(tmp_path: Path) -> None:
    content = "日期,推广账户,推广计划,展示次数,点击次数,总费用\n2018-06-10,a,x,9,1,1.00\n"
    assert "set `products:`" in refusal(tmp_path, content)
    assert spend(tmp_path, content, products=["display"]).landed[0]["product"] == "display"


def test_a_report_of_a_product_that_the_source_leaves_out_is_refused(tmp_path: Path, shared: Path) -> None:
    content = "日期,推广账户,推广计划,关键词,展示,点击,消费\n2018-06-10,a,x,k,9,1,1.00\n"
    assert "leaves out" in refusal(tmp_path, content, products=["display"])
    with pytest.raises(FileRefused, match="leaves out"):
        read(CONNECTOR, sample(shared, "display_report_cost.json"), products=["search"])


def test_the_real_display_answer_keeps_two_rows_alike(shared: Path) -> None:
    found = read(CONNECTOR, sample(shared, "display_report_cost.json"), account="main")
    assert len(found.landed) == 2
    row = found.landed[0]
    assert (row["spend_date"], row["account"]) == (date(2018, 6, 10), "main")
    assert (row["campaign_id"], row["campaign_name"]) == ("1381767", "推广计划名称")
    assert (row["ad_group_id"], row["ad_id"]) == ("13176074", "66242783")
    assert (row["product"], row["report_level"]) == ("display", "ad")
    assert sum(row["impressions"] for row in found.landed) == 62
    assert sum(row["cost"] for row in found.landed) == 0
    assert found.log.control_totals == {("display", "rows"): Decimal(2)}


def test_an_answer_names_its_account_otherwise_than_the_console(shared: Path) -> None:
    """Under two names, spend that both report would count twice."""
    with pytest.raises(FileRefused, match="set `account:`"):
        read(CONNECTOR, sample(shared, "display_report_cost.json"))


def test_the_real_regional_answer_names_its_measures_otherwise(shared: Path) -> None:
    found = read(CONNECTOR, sample(shared, "display_report_karegioncost.json"), account="main")
    assert sum(row["cost"] for row in found.landed) == Decimal("0.39425")
    assert sum(row["impressions"] for row in found.landed) == 9193
    assert {(row["account"], row["report_level"]) for row in found.landed} == {("main", "account")}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"count": 1001, "cost": []}, "one page of several"),
        ({"failures": [{"code": 1, "message": "s3cr3t"}]}, "error answer"),
        ({"rows": []}, "no answer of"),
        ({"count": 1, "cost": [{"date": "2018-06-10", "advertiserId": "1"}]}, "no totalCost"),
        ({"count": 1, "cost": [{"totalCost": "1", "advertiserId": "1"}]}, "no date"),
        ({"count": 1, "cost": [{"totalCost": "1", "date": "2018-06", "advertiserId": "1"}]}, "is a month"),
    ],
)
def test_what_is_no_whole_answer_is_refused(tmp_path: Path, body: Any, reason: str) -> None:
    text = refusal(tmp_path, json.dumps(body), account="main")
    assert reason in text
    assert "s3cr3t" not in text
    assert "cut short" in refusal(tmp_path, json.dumps(body)[:-1], account="main")


def test_a_cost_that_is_none_is_quarantined(tmp_path: Path) -> None:
    rows = [
        {"totalCost": cost, "date": "2018-06-10", "advertiserId": "1"} for cost in ("-", "-1.00", "0.00001")
    ]
    found = spend(tmp_path, json.dumps({"count": 3, "cost": rows}), account="main")
    assert [q.column for q in found.quarantined] == ["cost", "cost"]
    assert found.landed[0]["cost"] == Decimal("0.00001")
