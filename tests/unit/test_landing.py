"""The landing zone against real files: idempotence, newest wins, day replacement, crash left-overs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import registry
from connectors.contract import Column, Connector, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.privacy import Privacy
from pipelines.config import Clinic, load_clinic
from pipelines.inbox import misplaced
from pipelines.landing import Landing
from pipelines.loads import LoadRecord

CALLS = Stream(
    name="calls",
    description="calls",
    columns=(
        Column("call_id", "text", "id", required=True),
        Column("called_at", "timestamp", "time", required=True),
        Column("phone_key", "text", "caller", personal="phone"),
        Column("talk_s", "integer", "talk"),
    ),
    primary_key=("call_id",),
    event_day="called_at",
)
SPEND = Stream(
    name="ad_spend",
    description="spend",
    columns=(
        Column("spend_date", "date", "day", required=True),
        Column("account", "text", "account"),
        Column("report_level", "text", "level"),
        Column("source", "text", "platform; the folder is named source=… and must not shadow it"),
        Column("campaign_name", "text", "campaign"),
        Column("cost_native", "decimal", "cost", required=True),
    ),
    primary_key=("spend_date", "campaign_name"),
    event_day="spend_date",
    mode="report",
    replaces=("account", "report_level"),
)
LINES = Stream(
    name="visits",
    description="visit lines",
    columns=(
        Column("visit_id", "text", "visit", required=True),
        Column("line_id", "text", "line", required=True),
        Column("visited_at", "timestamp", "time", required=True),
        Column("amount", "decimal", "amount"),
    ),
    primary_key=("visit_id", "line_id"),
    replaces=("visit_id",),
    event_day="visited_at",
)


PATIENTS = Stream(
    name="patients",
    description="patients",
    columns=(
        Column("patient_id", "text", "patient", required=True),
        Column("changed_at", "timestamp", "version"),
        Column("sex", "text", "sex"),
    ),
    primary_key=("patient_id",),
    version="changed_at",
)


class ToyOptions(SourceOptions):
    scale: int = 1


class Toy(Connector[ToyOptions]):
    """CSV with the landed names as header; `#range a b` prints a range; `!broken` is refused.

    `#exported t` is the export's time; `scale: 2` filters rows that begin with `dropped`.
    """

    kind = "toy"
    title = "Toy"
    options = ToyOptions
    feeds = ()

    def streams(self, source: ToyOptions) -> tuple[Stream, ...]:
        return (CALLS, SPEND, LINES, PATIENTS)

    def read(self, file: InboxFile, stream: Stream, source: ToyOptions, log: ReadLog) -> Iterator[Row]:
        names: list[str] = []
        for number, cells in file.table(delimiter=","):
            first = str(cells[0]) if cells else ""
            if first.startswith("!"):
                raise FileRefused(f"{file.name}: line {number}: broken")
            if first.startswith("#range"):
                _, since, until = first.split()
                log.covers = (date.fromisoformat(since), date.fromisoformat(until))
                log.skip("preamble")
            elif first.startswith("#exported"):
                log.exported_at = datetime.fromisoformat(first.split()[1])
                log.skip("preamble")
            elif not names:
                names = [str(cell) for cell in cells]
            elif source.scale == 2 and cells[0] == "dropped":
                log.skip("filtered")
            else:
                yield Row(number, dict(zip(names, cells, strict=True)))


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    toy = Toy()
    monkeypatch.setattr(registry, "kinds", lambda: ("toy",))
    monkeypatch.setattr(registry, "connector", lambda kind: toy)
    return make_clinic(tmp_path)


def make_clinic(folder: Path, extra: str = "") -> Clinic:
    config = folder / "clinic.yaml"
    config.write_text(
        "clinic: {name: Toy, timezone: Europe/Zagreb, currency: EUR, phone_region: HR,"
        " own_numbers: ['+38515550100']}\n"
        f"sources:\n  toy: {{kind: toy{extra}}}\n"
    )
    return load_clinic(config, folder / "data")


def landing_of(clinic: Clinic, key: bytes = b"k" * 32, *, hash_record_ids: bool = False) -> Landing:
    landing = Landing(clinic, Privacy(key, "HR", hash_record_ids=hash_record_ids))
    landing.prepare()
    return landing


def drop(clinic: Clinic, stream: str, name: str, text: str, *, minute: int = 0) -> Path:
    path = clinic.data_dir / "inbox" / "toy" / stream / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    at = datetime(2026, 6, 1, 12, minute, tzinfo=UTC).timestamp()
    os.utime(path, (at, at))
    return path


def live(clinic: Clinic, stream: str, columns: str, kind: str = "toy", source: str = "toy") -> list[tuple]:
    folder = clinic.data_dir / "landing" / kind / stream / f"source={source}"
    files = json.loads((folder / "manifest.json").read_text())["files"]
    if not files:
        return []
    listed = [str(folder / name) for name in files]
    return duckdb.execute(
        f"select {columns} from read_parquet($1, hive_partitioning = false) order by all", [listed]
    ).fetchall()


def reconciles(record: LoadRecord) -> bool:
    return record.rows_read == record.rows_landed + record.rows_duplicate + record.rows_quarantined


HEAD = "call_id,called_at,phone_key,talk_s\n"


def test_a_file_lands_once_and_phones_are_keyed(clinic: Clinic) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "1,2026-05-01T10:00:00+02:00,091 555 0100,60\n")
    landing = landing_of(clinic)
    (record,) = landing.land("toy", "calls")
    assert (record.status, record.rows_read, record.rows_landed) == ("landed", 1, 1)
    ((call_id, called_at, key, talk),) = live(clinic, "calls", "call_id, called_at, phone_key, talk_s")
    assert (call_id, talk, len(key)) == ("1", 60, 32)
    assert called_at.astimezone(UTC) == datetime(2026, 5, 1, 8, 0, tzinfo=UTC)
    assert "5550100" not in key
    assert landing.land("toy", "calls") == [], "an untouched file is not a load"


def test_the_same_content_under_another_name_is_one_skipped_load(clinic: Clinic) -> None:
    text = HEAD + "1,2026-05-01T10:00:00+02:00,,60\n"
    drop(clinic, "calls", "a.csv", text)
    landing = landing_of(clinic)
    landing.land("toy", "calls")
    before = live(clinic, "calls", "* exclude (_load_id)")
    drop(clinic, "calls", "copy.csv", text, minute=5)
    (record,) = landing.land("toy", "calls")
    assert record.status == "skipped"
    assert live(clinic, "calls", "* exclude (_load_id)") == before
    assert landing.land("toy", "calls") == []


def test_a_later_file_wins_and_a_moved_day_leaves_no_ghost(clinic: Clinic) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "1,2026-05-01T10:00:00Z,,60\n2,2026-05-01T11:00:00Z,,5\n")
    landing = landing_of(clinic)
    landing.land("toy", "calls")
    drop(clinic, "calls", "b.csv", HEAD + "1,2026-05-09T10:00:00Z,,61\n", minute=1)
    (record,) = landing.land("toy", "calls")
    assert record.rows_landed == 1
    assert live(clinic, "calls", "call_id, cast(called_at at time zone 'UTC' as date), talk_s") == [
        ("1", date(2026, 5, 9), 61),
        ("2", date(2026, 5, 1), 5),
    ]


def test_an_older_file_that_arrives_later_changes_nothing(clinic: Clinic) -> None:
    landing = landing_of(clinic)
    drop(clinic, "calls", "b.csv", HEAD + "1,2026-05-01T10:00:00Z,,61\n", minute=9)
    landing.land("toy", "calls")
    drop(clinic, "calls", "a.csv", HEAD + "1,2026-05-01T10:00:00Z,,60\n", minute=1)
    (record,) = landing.land("toy", "calls")
    assert (record.rows_landed, record.rows_duplicate) == (0, 1)
    assert live(clinic, "calls", "talk_s") == [(61,)]


def test_a_duplicate_id_with_other_content_in_one_file_keeps_the_later_line(clinic: Clinic) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "1,2026-05-01T10:00:00Z,,60\n1,2026-05-02T10:00:00Z,,99\n")
    (record,) = landing_of(clinic).land("toy", "calls")
    assert (record.rows_read, record.rows_landed, record.rows_duplicate) == (2, 1, 1)
    assert live(clinic, "calls", "talk_s") == [(99,)]


def test_a_newer_file_that_carries_a_visit_replaces_all_its_lines(clinic: Clinic) -> None:
    head = "visit_id,line_id,visited_at,amount\n"
    when = "2026-05-01T10:00:00Z"
    drop(clinic, "visits", "a.csv", head + f"v1,1,{when},10\nv1,2,{when},20\nv2,1,{when},5\n")
    landing = landing_of(clinic)
    landing.land("toy", "visits")
    drop(clinic, "visits", "b.csv", head + f"v1,1,{when},11\n", minute=1)
    landing.land("toy", "visits")
    assert [(v, n, int(a)) for v, n, a in live(clinic, "visits", "visit_id, line_id, amount")] == [
        ("v1", "1", 11),
        ("v2", "1", 5),
    ]


SPEND_HEAD = "spend_date,account,report_level,campaign_name,cost_native,source\n"


def test_a_report_replaces_the_days_it_covers_so_a_renamed_campaign_does_not_double(clinic: Clinic) -> None:
    drop(
        clinic,
        "ad_spend",
        "a.csv",
        SPEND_HEAD + "2026-05-01,m,campaign,Old,10,google\n2026-05-02,m,campaign,Old,20,google\n",
    )
    landing = landing_of(clinic)
    landing.land("toy", "ad_spend")
    drop(clinic, "ad_spend", "b.csv", SPEND_HEAD + "2026-05-02,m,campaign,New,21,google\n", minute=1)
    drop(clinic, "ad_spend", "c.csv", SPEND_HEAD + "2026-05-02,other,campaign,Old,7,google\n", minute=2)
    landing.land("toy", "ad_spend")
    rows = live(clinic, "ad_spend", "spend_date, account, campaign_name, cast(cost_native as int), source")
    assert rows == [
        (date(2026, 5, 1), "m", "Old", 10, "google"),
        (date(2026, 5, 2), "m", "New", 21, "google"),
        (date(2026, 5, 2), "other", "Old", 7, "google"),
    ]


def test_a_printed_range_also_clears_its_days_without_rows(clinic: Clinic) -> None:
    drop(
        clinic,
        "ad_spend",
        "a.csv",
        SPEND_HEAD + "2026-05-01,m,campaign,A,10,google\n2026-05-02,m,campaign,A,20,google\n",
    )
    landing = landing_of(clinic)
    landing.land("toy", "ad_spend")
    drop(
        clinic,
        "ad_spend",
        "b.csv",
        "#range 2026-05-01 2026-05-02\n" + SPEND_HEAD + "2026-05-01,m,campaign,A,11,google\n",
        minute=1,
    )
    (record,) = landing.land("toy", "ad_spend")
    assert (record.rows_read, record.rows_skipped) == (1, 1)
    assert live(clinic, "ad_spend", "spend_date, cast(cost_native as int)") == [(date(2026, 5, 1), 11)]


def test_two_alike_rows_of_one_report_are_both_money(clinic: Clinic) -> None:
    row = "2026-05-01,m,campaign,A,10,google\n"
    drop(clinic, "ad_spend", "a.csv", SPEND_HEAD + row + row)
    (record,) = landing_of(clinic).land("toy", "ad_spend")
    assert (record.rows_landed, record.rows_duplicate) == (2, 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,yesterday,,1", "called_at: is not a time"),
        ("1,2026-05-01 10:00,,1", "called_at: is not a time with a zone"),
        ("1,1066-05-01T10:00:00Z,,1", "called_at: has the absurd year 1066"),
        ("1,2026-06-03T13:00:00Z,,1", "called_at: lies in the future of the file (2026-06-02)"),
        (",2026-05-01T10:00:00Z,,1", "call_id: is empty but required"),
        ("1,2026-05-01T10:00:00Z,,many", "talk_s: is not a whole number"),
        ("1,2026-05-01T10:00:00Z,,99999999999999999999", "talk_s: is too large for a number"),
        ("1,2026-05-01T10:00:00Z,,1.5", "talk_s: is not a whole number"),
    ],
)
def test_a_row_that_does_not_fit_is_quarantined_and_the_rest_lands(
    clinic: Clinic, line: str, reason: str
) -> None:
    drop(clinic, "calls", "a.csv", HEAD + f"{line}\nok,2026-05-01T10:00:00Z,0915550100,1\n")
    (record,) = landing_of(clinic).land("toy", "calls")
    assert (record.rows_quarantined, record.rows_landed) == (1, 1)
    assert record.quarantine_reasons == {reason: 1}
    (path,) = (clinic.data_dir / "quarantine").rglob("*.jsonl")
    entry = json.loads(path.read_text())
    assert (entry["row_number"], entry["file_hash"]) == (2, record.file_hash)


@pytest.mark.parametrize(
    ("cost", "reason"),
    [
        ("1000000000000", "cost_native: is absurdly large for an amount"),
        ("NaN", "cost_native: is not an amount"),
    ],
)
def test_an_impossible_amount_is_quarantined(clinic: Clinic, cost: str, reason: str) -> None:
    row = "2026-05-01,m,campaign,A,{},google\n"
    drop(clinic, "ad_spend", "a.csv", SPEND_HEAD + row.format(cost) + row.format("999999999999.999999"))
    (record,) = landing_of(clinic).land("toy", "ad_spend")
    assert record.quarantine_reasons == {reason: 1}
    assert record.rows_landed == 1


def test_quarantine_keeps_no_personal_value(clinic: Clinic) -> None:
    slipped = "Ana Horvat,0915550123,0915550123,0915550123\n0915550123,2026-05-01,+385915550123,Ana Horvat\n"
    drop(clinic, "calls", "a.csv", HEAD + slipped)
    landing_of(clinic).land("toy", "calls")
    written = "".join(
        p.read_text(errors="replace")
        for p in clinic.data_dir.rglob("*")
        if p.is_file() and "inbox" not in p.parts
    )
    assert '"reason": "is not a time"' in written
    assert "5550123" not in written
    assert "Horvat" not in written


def test_a_refused_file_is_recorded_stays_failed_and_is_read_once_mended(clinic: Clinic) -> None:
    path = drop(clinic, "calls", "a.csv", HEAD + "!\n")
    drop(clinic, "calls", "b.csv", HEAD + "1,2026-05-01T10:00:00Z,,1\n", minute=1)
    landing = landing_of(clinic)
    failed, landed = landing.land("toy", "calls")
    assert (failed.status, failed.error) == ("failed", "a.csv: line 2: broken")
    assert landed.status == "landed"
    (again,) = landing.land("toy", "calls")
    assert again.status == "failed", "the night says so until somebody mends or removes the file"
    path.write_text(HEAD + "2,2026-05-01T10:00:00Z,,1\n")
    (mended,) = landing.land("toy", "calls")
    assert mended.status == "landed"
    assert len(live(clinic, "calls", "call_id")) == 2


def test_a_mended_mapping_rereads_the_file_and_supersedes_its_old_load(
    clinic: Clinic, tmp_path: Path
) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "1,2026-05-01T10:00:00Z,,1\n")
    landing_of(clinic).land("toy", "calls")
    mended = make_clinic(tmp_path, ", scale: 2")
    (record,) = landing_of(mended).land("toy", "calls")
    assert record.status == "landed"
    assert live(mended, "calls", "call_id, _load_id") == [("1", record.load_id)]


def test_rows_that_a_mended_mapping_no_longer_reads_vanish_from_days_it_does_not_touch(
    clinic: Clinic, tmp_path: Path
) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "dropped,2026-05-01T10:00:00Z,,1\nkept,2026-05-09T10:00:00Z,,1\n")
    landing_of(clinic).land("toy", "calls")
    mended = make_clinic(tmp_path, ", scale: 2")
    landing_of(mended).land("toy", "calls")
    assert live(mended, "calls", "call_id") == [("kept",)]


@pytest.mark.parametrize("other", [{"key": b"another key of 32 bytes, or more"}, {"hash_record_ids": True}])
def test_another_key_or_setting_of_pseudonyms_rereads_everything(clinic: Clinic, other: dict) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "1,2026-05-01T10:00:00Z,0915550100,1\n")
    landing_of(clinic).land("toy", "calls")
    (record,) = landing_of(clinic, **other).land("toy", "calls")
    assert record.status == "landed"
    assert live(clinic, "calls", "_load_id") == [(record.load_id,)]


def test_a_refused_file_is_not_read_again_until_it_changes(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "!\n")
    landing = landing_of(clinic)
    landing.land("toy", "calls")
    monkeypatch.setattr(Toy, "read", lambda *_: pytest.fail("read again"))
    (record,) = landing.land("toy", "calls")
    assert record.error == "a.csv: line 2: broken"


def test_the_export_time_in_the_file_beats_its_arrival(clinic: Clinic) -> None:
    new, old = "#exported 2026-05-20T08:00:00+00:00\n", "#exported 2026-05-19T08:00:00+00:00\n"
    drop(clinic, "calls", "new.csv", new + HEAD + "1,2026-05-01T10:00:00Z,,99\n", minute=1)
    drop(clinic, "calls", "old.csv", old + HEAD + "1,2026-05-01T10:00:00Z,,60\n", minute=2)
    row = "2026-05-01,m,campaign,A,{},google\n"
    drop(clinic, "ad_spend", "new.csv", new + SPEND_HEAD + row.format(9), minute=1)
    drop(clinic, "ad_spend", "old.csv", old + SPEND_HEAD + row.format(5), minute=2)
    landing = landing_of(clinic)
    landing.land("toy", "calls")
    landing.land("toy", "ad_spend")
    assert live(clinic, "calls", "talk_s") == [(99,)]
    assert live(clinic, "ad_spend", "cast(cost_native as int)") == [(9,)]


def test_files_too_large_to_keep_in_memory_land_the_same(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.check.BATCH_ROWS", 2)
    monkeypatch.setattr("pipelines.staged._KEPT_ROWS", 3)
    rows = "".join(f"{n},2026-05-0{1 + n % 3}T10:00:00Z,,{n}\n" for n in range(9))
    drop(clinic, "calls", "large.csv", HEAD + rows)
    drop(clinic, "calls", "small.csv", HEAD + "s,2026-05-01T10:00:00Z,,1\n", minute=1)
    large, small = landing_of(clinic).land("toy", "calls")
    assert (large.rows_landed, small.rows_landed) == (9, 1)
    assert len(live(clinic, "calls", "call_id")) == 10


def test_unfinished_and_hidden_files_are_left_alone(clinic: Clinic) -> None:
    for name in ("a.csv.part", "b.crdownload", ".c.csv", "~d.tmp", ".hidden/e.csv"):
        drop(clinic, "calls", name, HEAD + "!\n")
    assert landing_of(clinic).land("toy", "calls") == []


def test_left_overs_of_a_killed_run_are_swept(clinic: Clinic) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "1,2026-05-01T10:00:00Z,,1\n")
    landing = landing_of(clinic)
    landing.land("toy", "calls")
    folder = clinic.data_dir / "landing" / "toy" / "calls" / "source=toy"
    (folder / "2026-05-01.deadbeef.parquet").write_bytes(b"half a file")
    (folder / ".staging").mkdir()
    (folder / ".staging" / "x.parquet").write_bytes(b"half")
    loads = clinic.data_dir / "landing" / "loads.jsonl"
    whole = loads.read_text()
    loads.write_text(whole + '{"load_id": "cut')
    landing_of(clinic).land("toy", "calls")
    assert loads.read_text() == whole
    assert sorted(p.suffix for p in folder.iterdir()) == [".json", ".parquet"]


def test_a_table_put_back_as_it_was_is_live_again_whatever_its_date(clinic: Clinic) -> None:
    path = clinic.data_dir / "reference" / "campaign_map.csv"
    path.parent.mkdir(parents=True)
    landing = landing_of(clinic)
    for minute, branch in ((5, "North"), (6, "South"), (1, "North")):
        path.write_text(f"campaign,branch\nA,{branch}\n")
        at = datetime(2026, 6, 1, 12, minute, tzinfo=UTC).timestamp()
        os.utime(path, (at, at))
        landing.land("reference", "campaign_map")
        assert live(clinic, "campaign_map", "branch", kind="reference", source="reference") == [(branch,)]


def test_an_export_put_back_as_it_was_wins_over_the_mistaken_one(clinic: Clinic) -> None:
    landing = landing_of(clinic)
    for minute, talk in ((1, 60), (2, 99), (3, 60)):
        drop(clinic, "calls", "a.csv", HEAD + f"1,2026-05-01T10:00:00Z,,{talk}\n", minute=minute)
        (record,) = landing.land("toy", "calls")
        assert record.status == "landed"
        assert live(clinic, "calls", "talk_s") == [(talk,)]


def test_a_row_without_a_version_never_beats_one_that_has_it(clinic: Clinic) -> None:
    landing = landing_of(clinic)
    head = "patient_id,changed_at,sex\n"
    drop(clinic, "patients", "b.csv", head + "p1,2026-05-01T10:00:00Z,female\n", minute=1)
    drop(clinic, "patients", "c.csv", head + "p1,,male\n", minute=2)
    landing.land("toy", "patients")
    assert live(clinic, "patients", "sex") == [("female",)]


def test_a_load_whose_record_was_lost_in_a_kill_is_told_after_all(clinic: Clinic) -> None:
    drop(clinic, "calls", "a.csv", HEAD + "1,2026-05-01T10:00:00Z,,1\n")
    landing_of(clinic).land("toy", "calls")
    loads = clinic.data_dir / "landing" / "loads.jsonl"
    whole = loads.read_text()
    loads.unlink()
    landing_of(clinic)
    assert loads.read_text() == whole


def test_reference_files_land_and_vanish_with_the_file(clinic: Clinic) -> None:
    path = clinic.data_dir / "reference" / "campaign_map.csv"
    path.parent.mkdir(parents=True)
    path.write_text("campaign,branch\nImplants,North\n")
    landing = landing_of(clinic)
    (record,) = landing.land("reference", "campaign_map")
    assert record.rows_landed == 1
    path.write_text("campaign,branch\nImplants,North\nImplants,South\nX,Y,Z\n")
    (bad,) = landing.land("reference", "campaign_map")
    assert bad.error is not None
    assert bad.error.splitlines() == [
        "campaign_map.csv:3: campaign as on line 2; keep one of them",
        "campaign_map.csv:4: has more cells than the header; quote texts with commas",
    ]
    rows = live(clinic, "campaign_map", "campaign, branch", kind="reference", source="reference")
    assert rows == [("Implants", "North")], "a mistaken table never replaces a good one"
    path.unlink()
    landing.land("reference", "campaign_map")
    assert live(clinic, "campaign_map", "campaign", kind="reference", source="reference") == []
    landing.land("reference", "own_numbers")
    ((key,),) = live(clinic, "own_numbers", "phone_key", kind="reference", source="reference")
    assert len(key) == 32


def test_misplaced_files_are_named(clinic: Clinic) -> None:
    landing_of(clinic)
    (clinic.data_dir / "inbox" / "tyo").mkdir()
    (clinic.data_dir / "inbox" / "toy" / "calls.csv").write_text("x")
    lines = misplaced(clinic)
    assert [line.split(":")[0] for line in lines] == ["inbox/toy/calls.csv", "inbox/tyo"]


ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 9), st.sampled_from(["10", "x", ""])), min_size=0, max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(ROWS, min_size=1, max_size=4), one_by_one=st.booleans())
def test_every_row_is_accounted_for_and_landing_order_does_not_matter(
    clinic: Clinic, tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple]], one_by_one: bool
) -> None:
    texts = [HEAD + "".join(f"{i},2026-05-0{d}T10:00:00Z,,{talk}\n" for i, d, talk in rows) for rows in files]
    contents = []
    for reverse in (False, True):
        here = make_clinic(tmp_path_factory.mktemp("clinic"))
        landing = landing_of(here)
        order = list(enumerate(texts))
        records: list[LoadRecord] = []
        for n, text in reversed(order) if reverse else order:
            drop(here, "calls", f"{n}.csv", text, minute=n)
            if one_by_one:
                records += landing.land("toy", "calls")
        records += landing.land("toy", "calls")
        assert all(reconciles(r) for r in records)
        # The same content twice is one load, ranked by the copy met first: only distinct files are
        # free of order.
        contents.append(live(here, "calls", "call_id, called_at, talk_s"))
    if len(set(texts)) == len(texts):
        assert contents[0] == contents[1]
