"""Vendor files through the landing zone: what a newer export does to an older one, kind by kind."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.privacy import Privacy
from pipelines.config import load_clinic
from pipelines.landing import Landing

CLINIC = """
clinic: {name: Test, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}
sources:
  calltouch: {kind: calltouch, timezone: Europe/Moscow}
  google_ads: {kind: google_ads, account: main}
  yandex_direct: {kind: yandex_direct, currency: RUB}
  site: {kind: ga4}
  marketing: {kind: cost_sheet}
"""
GOOGLE = 'Campaign report\n"March 1, 2024 - March 2, 2024"\nDay,Campaign,Currency code,Cost\n'
COSTS = "channel,source,campaign,starts_on,ends_on,amount\n"


class Night:
    """A clinic's folder: drop files, land them, look at what is live."""

    def __init__(self, root: Path) -> None:
        (root / "clinic.yaml").write_text(CLINIC)
        self.clinic = load_clinic(root / "clinic.yaml", root / "data")
        self.landing = Landing(self.clinic, Privacy(b"a key for tests only", "HR"))
        self.landing.prepare()
        self._dropped = 1_750_000_000  # June 2025, after every day in the files

    def drop(self, source: str, stream: str, name: str, content: str | bytes) -> None:
        path = self.clinic.data_dir / "inbox" / source / stream / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self._dropped += 60  # arrival decides which export is newer
        os.utime(path, (self._dropped, self._dropped))

    def land(self, kind: str, stream: str) -> list[Any]:
        records = self.landing.land(kind, stream)
        for record in records:
            assert record.rows_read == (
                record.rows_landed + record.rows_duplicate + record.rows_quarantined
            ), "every row ends in exactly one place"
        return records

    def live(self, kind: str, stream: str, columns: str) -> list[tuple[Any, ...]]:
        folder = self.clinic.data_dir / "landing" / kind / stream
        manifest = next(folder.glob("source=*/manifest.json"))
        files = [str(manifest.parent / name) for name in json.loads(manifest.read_text())["files"]]
        rows = duckdb.sql(f"select {columns} from read_parquet({files}) order by all")
        return rows.fetchall()


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_pages_and_a_repeated_answer_are_seven_calls(night: Night, shared: Path) -> None:
    folder = shared / "call_tracking" / "calltouch"
    for name in (
        "calls_diary_page_1_of_2.json",
        "calls_diary_page_2_of_2.json",
        "calls_diary_bare_array.json",
    ):
        night.drop("calltouch", "calls", name, (folder / name).read_bytes())
    records = night.land("calltouch", "calls")
    assert sum(record.rows_read for record in records) == 9
    assert sum(record.rows_landed for record in records) == 7
    assert len(night.live("calltouch", "calls", "call_id")) == 7


def test_a_tag_added_later_changes_the_call_and_adds_none(night: Night) -> None:
    call = {"callId": 1, "timestamp": 1702569133, "successful": True, "callphase": "callconnected"}
    tag = {"callphase": "calldisconnected", "callTags": [{"type": "WEB-API", "names": ["Booked"]}]}
    night.drop("calltouch", "calls", "monday.json", json.dumps([call]))
    night.drop("calltouch", "calls", "friday.json", json.dumps([call | tag]))
    night.land("calltouch", "calls")
    assert night.live("calltouch", "calls", "call_id, is_finished, tags") == [
        ("1", True, ["WEB-API: Booked"])
    ]


def test_a_campaign_renamed_or_deleted_between_exports_is_not_counted_twice(night: Night) -> None:
    night.drop(
        "google_ads",
        "ad_spend",
        "old.csv",
        GOOGLE + "2024-03-01,Brand,EUR,10.00\n2024-03-01,Gone,EUR,3.00\n2024-03-02,Brand,EUR,20.00\n",
    )
    night.land("google_ads", "ad_spend")
    # the second day has no rows any more: the printed range says that it was asked for
    night.drop("google_ads", "ad_spend", "new.csv", GOOGLE + "2024-03-01,Brand Zagreb,EUR,11.00\n")
    night.land("google_ads", "ad_spend")
    assert night.live("google_ads", "ad_spend", "campaign_name, cost") == [("Brand Zagreb", Decimal(11))]


def test_another_level_of_the_same_account_stays_beside(night: Night) -> None:
    keywords = (
        GOOGLE.replace("Campaign,", "Campaign,Ad group,Keyword,") + "2024-03-01,Brand,ENT,ent,EUR,4.00\n"
    )
    night.drop("google_ads", "ad_spend", "campaigns.csv", GOOGLE + "2024-03-01,Brand,EUR,10.00\n")
    night.drop("google_ads", "ad_spend", "keywords.csv", keywords)
    night.land("google_ads", "ad_spend")
    assert night.live("google_ads", "ad_spend", "report_level, cost") == [
        ("campaign", Decimal(10)),
        ("keyword", Decimal(4)),
    ]


def test_equal_lines_of_one_report_are_all_spend(night: Night) -> None:
    """Two hours of a campaign may look the same when the hour is not kept."""
    line = "2024-03-01\t1\t1.50\t10\n"
    night.drop("yandex_direct", "ad_spend", "r.tsv", "Date\tCampaignId\tCost\tClicks\n" + line + line)
    night.land("yandex_direct", "ad_spend")
    assert night.live("yandex_direct", "ad_spend", "sum(cost)") == [(Decimal(3),)]


def test_an_empty_report_deletes_no_spend(night: Night) -> None:
    head = "Spend (2024-03-01 - 2024-03-31)\nDate\tCampaignId\tCost\n"
    night.drop("yandex_direct", "ad_spend", "full.tsv", head + "2024-03-01\t1\t1.50\n")
    night.drop("yandex_direct", "ad_spend", "empty.tsv", head + "Total rows: 0\n")
    assert [record.status for record in night.land("yandex_direct", "ad_spend")] == ["landed", "landed"]
    assert night.live("yandex_direct", "ad_spend", "cost") == [(Decimal("1.5"),)]


def test_overlapping_exports_of_events_are_each_event_once(night: Night) -> None:
    def line(second: int) -> str:
        session = {"key": "ga_session_id", "value": {"int_value": "100"}}
        return json.dumps(
            {
                "event_timestamp": str((1_700_000_000 + second) * 1_000_000),
                "event_name": "page_view",
                "user_pseudo_id": "1.1",
                "event_params": [session],
            }
        )

    night.drop("site", "events", "a.ndjson", "\n".join(line(n) for n in range(4)))
    night.drop("site", "events", "b.ndjson", "\n".join(line(n) for n in range(2, 6)))
    night.land("ga4", "events")
    assert night.live("ga4", "events", "count(*), count(distinct event_key)") == [(6, 6)]


def test_a_corrected_amount_replaces_the_old_one_without_an_id(night: Night) -> None:
    lines = COSTS + "organic_search,agency,SEO,2024-01-01,2024-01-31,{}\nevent,,Open day,2024-01-05,,50.00\n"
    night.drop("marketing", "other_costs", "january.csv", lines.format("1000.00"))
    night.drop("marketing", "other_costs", "january again.csv", lines.format("1200.00"))
    night.land("cost_sheet", "other_costs")
    assert night.live("cost_sheet", "other_costs", "amount") == [(Decimal(50),), (Decimal(1200),)]


def test_a_refused_file_says_why_and_the_others_go_on(night: Night, shared: Path) -> None:
    name = "campaign_report_all_time_usd.csv"
    night.drop("google_ads", "ad_spend", name, (shared / "ad_spend/google_ads/ui_export" / name).read_bytes())
    night.drop("google_ads", "ad_spend", "daily.csv", GOOGLE + "2024-03-01,Brand,EUR,10.00\n")
    records = {record.file: record for record in night.land("google_ads", "ad_spend")}
    assert records[name].status == "failed"
    assert "no Day column" in records[name].error
    assert records["daily.csv"].status == "landed"
    assert night.live("google_ads", "ad_spend", "cost") == [(Decimal(10),)]
