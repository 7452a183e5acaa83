"""API windows in the landing zone: whole or not at all, restated, caught up, replaced by days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest
from pydantic import SecretStr

from connectors import registry
from connectors.contract import Column, Connector, ReadLog, Route, Row, SourceOptions, Stream, Window
from connectors.errors import ApiError, AuthError, IncompleteError, TransientError
from connectors.files import InboxFile
from connectors.privacy import Privacy
from pipelines import landing
from pipelines.config import Clinic, load_clinic
from pipelines.landing import Landing
from pipelines.loads import LoadRecord

CALLS = Stream(
    name="calls",
    description="calls",
    columns=(
        Column("call_id", "text", "id", required=True),
        Column("called_at", "timestamp", "time", required=True),
        Column("phone_key", "text", "caller", personal="phone"),
    ),
    primary_key=("call_id",),
    event_day="called_at",
    restatement_days=3,
)
LEADS = Stream(
    name="leads",
    description="leads, read by what changed",
    columns=(
        Column("lead_id", "text", "id", required=True),
        Column("status", "text", "status"),
        Column("phone_key", "text", "phone", personal="phone"),
    ),
    primary_key=("lead_id",),
    restatement_days=1,
)
STAFF = Stream(
    name="staff",
    description="staff, read whole",
    columns=(Column("staff_id", "text", "id", required=True),),
    primary_key=("staff_id",),
)
SPEND = Stream(
    name="ad_spend",
    description="spend",
    columns=(
        Column("spend_date", "date", "day", required=True),
        Column("account", "text", "account"),
        Column("report_level", "text", "level"),
        Column("campaign", "text", "campaign"),
        Column("cost", "decimal", "cost", required=True),
    ),
    primary_key=("spend_date", "campaign"),
    event_day="spend_date",
    mode="report",
    replaces=("account", "report_level"),
    restatement_days=2,
)
TODAY = date(2026, 3, 31)


class FarOptions(SourceOptions):
    token: SecretStr | None = None
    scale: int = 1


@dataclass
class Vendor:
    """What the vendor has now, and what it does when asked."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # (stream, first day) -> error instead of an answer, raised after the rows were given.
    trouble: dict[tuple[str, date], ApiError] = field(default_factory=dict)
    asked: list[tuple[str, str, date, date]] = field(default_factory=list)


VENDOR = Vendor()


class Far(Connector[FarOptions]):
    """A kind whose vendor is `VENDOR`; CSV files of the landed columns too."""

    kind = "far"
    title = "Far"
    options = FarOptions
    feeds = ()
    parser_version: ClassVar[int] = 1

    def streams(self, source: FarOptions) -> tuple[Stream, ...]:
        return (CALLS, LEADS, STAFF, SPEND)

    def route(self, source: FarOptions, stream: Stream) -> Route | None:
        if source.token is None:
            return None
        return {
            "calls": Route(window_days=7),
            "leads": Route("change", ahead_days=1),
            "staff": Route("whole"),
            "ad_spend": Route(window_days=5),
        }[stream.name]

    def read(self, file: InboxFile, stream: Stream, source: FarOptions, log: ReadLog) -> Iterator[Row]:
        names: list[str] = []
        for number, cells in file.table(delimiter=","):
            if names:
                yield Row(number, dict(zip(names, cells, strict=True)))
            else:
                names = [str(cell) for cell in cells]

    def fetch(self, source: FarOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        VENDOR.asked.append((source.name, stream.name, window.since, window.until))
        for number, row in enumerate(VENDOR.rows.get(stream.name, []), start=1):
            if stream.event_day is not None:
                at = row[stream.event_day]
                moment = at if isinstance(at, datetime) else None
                if moment is not None and not window.starts_at <= moment < window.ends_at:
                    continue
                if moment is None and not window.since <= at <= window.until:
                    continue
            yield Row(number, dict(row))
        error = VENDOR.trouble.get((stream.name, window.since))
        if error is not None:
            raise error


FAR = Far()


@pytest.fixture(autouse=True)
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.connector
    monkeypatch.setattr(registry, "kinds", lambda: ("far",))
    monkeypatch.setattr(registry, "connector", lambda kind: FAR if kind == "far" else real(kind))
    monkeypatch.setattr(landing, "today", lambda _zone: TODAY)
    monkeypatch.setenv("FAR_TOKEN", "s3cr3t")
    VENDOR.rows.clear()
    VENDOR.trouble.clear()
    VENDOR.asked.clear()


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return written(tmp_path, "far: {kind: far, token: '${FAR_TOKEN}', since: 2026-03-20}")


def written(folder: Path, *sources: str, zone: str = "Europe/Zagreb") -> Clinic:
    config = folder / "clinic.yaml"
    config.write_text(
        f"clinic: {{name: Far, timezone: {zone}, currency: EUR, phone_region: HR}}\nsources:\n"
        + "".join(f"  {source}\n" for source in sources),
        encoding="utf-8",
    )
    return load_clinic(config, folder / "data")


def night(clinic: Clinic, stream: str, **asked: Any) -> list[LoadRecord]:
    run = Landing(clinic, Privacy(b"k" * 32, "HR"))
    run.prepare()
    return run.land("far", stream, **asked)


def live(clinic: Clinic, stream: str, columns: str) -> list[tuple[Any, ...]]:
    files = []
    for manifest in (clinic.data_dir / "landing" / "far" / stream).glob("source=*/manifest.json"):
        files += [str(manifest.parent / name) for name in duckdb_files(manifest)]
    if not files:
        return []
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        return con.execute(
            f"select {columns} from read_parquet({files!r}, hive_partitioning = false) order by all"
        ).fetchall()


def duckdb_files(manifest: Path) -> list[str]:
    import json

    found: list[str] = json.loads(manifest.read_text())["files"]
    return found


def call(call_id: str, at: datetime, phone: str = "+385911000001") -> dict[str, Any]:
    return {"call_id": call_id, "called_at": at, "phone_key": phone}


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def spend(day: int, campaign: str, cost: str, account: str = "main") -> dict[str, Any]:
    return {
        "spend_date": date(2026, 3, day),
        "account": account,
        "report_level": "campaign",
        "campaign": campaign,
        "cost": cost,
    }


def test_the_first_night_reads_from_since_newest_window_first_and_the_next_what_may_change(
    clinic: Clinic,
) -> None:
    VENDOR.rows["calls"] = [call(str(day), at(day)) for day in range(20, 31)]
    first = night(clinic, "calls")
    assert [(r.file, r.status, r.rows_landed) for r in first] == [
        ("api 2026-03-24..2026-03-30", "landed", 7),
        ("api 2026-03-20..2026-03-23", "landed", 4),
    ]
    second = night(clinic, "calls")
    assert [r.file for r in second] == ["api 2026-03-28..2026-03-30"]
    assert live(clinic, "calls", "call_id") == [(str(day),) for day in range(20, 31)]


def test_what_is_gone_upstream_within_the_window_is_gone_here_and_nothing_else(clinic: Clinic) -> None:
    VENDOR.rows["calls"] = [call(str(day), at(day)) for day in range(20, 31)]
    night(clinic, "calls")
    VENDOR.rows["calls"] = [call("30", at(30), "+385911000002")]
    night(clinic, "calls")
    assert live(clinic, "calls", "call_id") == [(str(day),) for day in (*range(20, 28), 30)]


def test_a_file_of_the_same_stream_is_not_replaced_by_the_api(clinic: Clinic) -> None:
    inbox = clinic.data_dir / "inbox" / "far" / "calls"
    inbox.mkdir(parents=True)
    (inbox / "branch.csv").write_text("call_id,called_at\nbranch,2026-03-29T10:00:00+00:00\n")
    VENDOR.rows["calls"] = [call("30", at(30))]
    night(clinic, "calls")
    night(clinic, "calls")
    assert live(clinic, "calls", "call_id") == [("30",), ("branch",)]


def test_days_are_the_source_s_own_where_the_clock_changes(tmp_path: Path) -> None:
    """29 March 2026 has 23 hours in Zagreb: it ends at 22:00 UTC, the day before at 23:00."""
    clinic = written(tmp_path, "far: {kind: far, token: '${FAR_TOKEN}', since: 2026-03-28}")
    edges = {"a": at(28, 22), "b": at(28, 23), "c": at(29, 21), "d": at(29, 22)}
    VENDOR.rows["calls"] = [call(name, moment) for name, moment in edges.items()]
    night(clinic, "calls")
    VENDOR.rows["calls"] = []
    night(clinic, "calls", asked=(date(2026, 3, 29), date(2026, 3, 29)))
    assert live(clinic, "calls", "call_id") == [("a",), ("d",)]


def test_a_window_that_fails_midway_leaves_what_was_there(clinic: Clinic) -> None:
    VENDOR.rows["calls"] = [call(str(day), at(day)) for day in range(20, 31)]
    night(clinic, "calls")
    before = live(clinic, "calls", "call_id, phone_key")
    VENDOR.rows["calls"] = [call("30", at(30), "+385911000002")]
    VENDOR.trouble["calls", date(2026, 3, 28)] = IncompleteError("far: 1 of 3 calls")
    (record,) = night(clinic, "calls")
    assert (record.status, record.error) == ("failed", "far: 1 of 3 calls")
    assert live(clinic, "calls", "call_id, phone_key") == before
    leftovers = [p.name for p in (clinic.data_dir / "landing/far/calls/source=far").iterdir()]
    assert ".staging" not in leftovers


def test_days_that_failed_are_caught_up(clinic: Clinic) -> None:
    VENDOR.rows["calls"] = [call(str(day), at(day)) for day in range(20, 31)]
    VENDOR.trouble["calls", date(2026, 3, 20)] = IncompleteError("far: short")
    assert [r.status for r in night(clinic, "calls")] == ["landed", "failed"]
    VENDOR.trouble.clear()
    assert [r.file for r in night(clinic, "calls")] == [
        "api 2026-03-28..2026-03-30",
        "api 2026-03-20..2026-03-23",
    ]
    assert len(live(clinic, "calls", "call_id")) == 11


def test_a_vendor_that_is_down_is_left_alone_till_tomorrow(clinic: Clinic) -> None:
    VENDOR.trouble["calls", date(2026, 3, 24)] = TransientError("far: HTTP 500")
    assert [r.status for r in night(clinic, "calls")] == ["failed"]
    assert len(VENDOR.asked) == 1


def test_a_refused_token_stops_the_source_and_no_other(tmp_path: Path) -> None:
    clinic = written(
        tmp_path,
        "far: {kind: far, token: '${FAR_TOKEN}', since: 2026-03-30}",
        "other: {kind: far, token: '${FAR_TOKEN}', since: 2026-03-29}",
    )
    VENDOR.trouble["calls", date(2026, 3, 30)] = AuthError("far: HTTP 401; mend `token` of the source")
    run = Landing(clinic, Privacy(b"k" * 32, "HR"))
    run.prepare()
    calls, staff = run.land("far", "calls"), run.land("far", "staff")
    assert [(r.source, r.status) for r in calls] == [("far", "failed"), ("other", "landed")]
    assert [(r.source, r.status) for r in staff] == [("far", "failed"), ("other", "landed")]
    assert "mend `token`" in str(staff[0].error)
    assert ("far", "staff") not in {(source, stream) for source, stream, *_ in VENDOR.asked}


def test_a_campaign_that_is_gone_upstream_costs_nothing_any_more(clinic: Clinic) -> None:
    VENDOR.rows["ad_spend"] = [spend(30, "old", "5"), spend(30, "kept", "7"), spend(29, "old", "3")]
    night(clinic, "ad_spend")
    VENDOR.rows["ad_spend"] = [spend(30, "kept", "8")]
    night(clinic, "ad_spend")
    assert live(clinic, "ad_spend", "spend_date, campaign, cost::varchar") == [
        (date(2026, 3, 30), "kept", "8.000000")
    ]


def test_an_empty_answer_is_an_answer(clinic: Clinic) -> None:
    VENDOR.rows["ad_spend"] = [spend(30, "a", "5"), spend(25, "a", "4")]
    night(clinic, "ad_spend")
    VENDOR.rows["ad_spend"] = []
    night(clinic, "ad_spend")
    assert live(clinic, "ad_spend", "spend_date") == [(date(2026, 3, 25),)]


def test_a_newer_export_speaks_for_its_account_only(clinic: Clinic) -> None:
    VENDOR.rows["ad_spend"] = [spend(30, "a", "5"), spend(30, "b", "6", account="second")]
    night(clinic, "ad_spend")
    inbox = clinic.data_dir / "inbox" / "far" / "ad_spend"
    (inbox / "mended.csv").write_text(
        "spend_date,account,report_level,campaign,cost\n2026-03-30,main,campaign,a,9\n"
    )
    run = Landing(clinic, Privacy(b"k" * 32, "HR"))
    run.prepare()
    run.land("far", "ad_spend", asked=(date(2026, 3, 20), date(2026, 3, 20)))
    assert live(clinic, "ad_spend", "account, cost::varchar") == [
        ("main", "9.000000"),
        ("second", "6.000000"),
    ]


def test_changes_are_upserted_and_nothing_is_removed(clinic: Clinic) -> None:
    VENDOR.rows["leads"] = [{"lead_id": "1", "status": "new"}, {"lead_id": "2", "status": "new"}]
    night(clinic, "leads")
    VENDOR.rows["leads"] = [{"lead_id": "2", "status": "won"}]
    records = night(clinic, "leads")
    assert [r.file for r in records] == ["api 2026-03-30..2026-03-31"]
    assert live(clinic, "leads", "lead_id, status") == [("1", "new"), ("2", "won")]


def test_a_whole_table_is_replaced_whole(clinic: Clinic) -> None:
    VENDOR.rows["staff"] = [{"staff_id": "1"}, {"staff_id": "2"}]
    night(clinic, "staff")
    VENDOR.rows["staff"] = [{"staff_id": "2"}]
    night(clinic, "staff")
    assert live(clinic, "staff", "staff_id") == [("2",)]


def test_a_backfill_reads_the_range_again_and_no_other_source(tmp_path: Path) -> None:
    clinic = written(
        tmp_path,
        "far: {kind: far, token: '${FAR_TOKEN}', since: 2026-03-20}",
        "other: {kind: far, token: '${FAR_TOKEN}', since: 2026-03-20}",
    )
    night(clinic, "calls")
    VENDOR.asked.clear()
    records = night(clinic, "calls", asked=(date(2026, 3, 10), date(2026, 3, 22)), sources={"far"})
    assert [r.file for r in records] == ["api 2026-03-16..2026-03-22", "api 2026-03-10..2026-03-15"]
    assert {source for source, *_ in VENDOR.asked} == {"far"}


def test_a_backfill_never_asks_for_a_day_that_is_not_over(clinic: Clinic) -> None:
    night(clinic, "calls", asked=(date(2026, 3, 30), date(2026, 4, 5)))
    assert [asked[2:] for asked in VENDOR.asked] == [(date(2026, 3, 30), date(2026, 3, 30))]


def test_days_read_otherwise_than_today_are_read_again(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    VENDOR.rows["calls"] = [call("20", at(20))]
    night(clinic, "calls")
    monkeypatch.setattr(Far, "parser_version", 2)
    assert [r.file for r in night(clinic, "calls")] == [
        "api 2026-03-24..2026-03-30",
        "api 2026-03-20..2026-03-23",
    ]


def test_a_new_token_reads_nothing_again(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    night(clinic, "calls")
    monkeypatch.setenv("FAR_TOKEN", "another")
    again = load_clinic(clinic.config_path, clinic.data_dir)
    assert [r.file for r in night(again, "calls")] == ["api 2026-03-28..2026-03-30"]


def test_rows_hashed_under_another_key_do_not_stay(clinic: Clinic) -> None:
    VENDOR.rows["leads"] = [{"lead_id": "1", "status": "new"}]
    night(clinic, "leads")
    VENDOR.rows["leads"] = [{"lead_id": "2", "status": "new"}]
    run = Landing(clinic, Privacy(b"n" * 32, "HR"))
    run.prepare()
    run.land("far", "leads")
    assert live(clinic, "leads", "lead_id") == [("2",)]


def test_rows_without_a_hash_stay_under_another_key(clinic: Clinic) -> None:
    """Some vendors do not give old days twice."""
    VENDOR.rows["ad_spend"] = [spend(21, "a", "5")]
    night(clinic, "ad_spend")
    run = Landing(clinic, Privacy(b"n" * 32, "HR"))
    run.prepare()
    assert [r.file for r in run.land("far", "ad_spend")] == ["api 2026-03-29..2026-03-30"]
    assert live(clinic, "ad_spend", "campaign") == [("a",)]


def test_without_credentials_nothing_is_asked(tmp_path: Path) -> None:
    clinic = written(tmp_path, "far: {kind: far}")
    assert night(clinic, "calls") == []
    assert VENDOR.asked == []
    assert clinic.api_sources() == []


def test_a_secret_in_the_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"sources\.far\.token: secrets are not written.*FAR_TOKEN") as wrong:
        written(tmp_path, "far: {kind: far, token: s3cr3t}")
    assert "s3cr3t" not in str(wrong.value)


def test_the_landed_days_are_told(clinic: Clinic) -> None:
    run = Landing(clinic, Privacy(b"k" * 32, "HR"))
    run.prepare()
    run.land("far", "calls", asked=(date(2026, 3, 28), date(2026, 3, 30)))
    assert run.landed_days("far", "calls") == {date(2026, 3, 28) + timedelta(days=n) for n in range(3)}
    assert run.landed_days("far", "staff") == set()
