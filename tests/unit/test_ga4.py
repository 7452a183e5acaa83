"""GA4's BigQuery export: which events land, with what, and what never does."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import FileRefused
from connectors.ga4 import CONNECTOR, EVENTS
from connectors.privacy import Privacy
from pipelines.config import load_clinic
from pipelines.landing import Landing
from tests.unit.vendor_files import Read, options, read


def param(key: str, value: Any) -> dict[str, Any]:
    kind = "int_value" if isinstance(value, int) else "string_value"
    return {"key": key, "value": {kind: str(value)}}


def event(**fields: Any) -> dict[str, Any]:
    """A page view as the export writes it; keyword `params` adds event parameters."""
    params = {"ga_session_id": 1710000000, "page_location": "https://clinic.example/ent"} | fields.pop(
        "params", {}
    )
    base = {
        "event_date": "20240309",
        "event_timestamp": "1710000000123456",
        "event_name": "page_view",
        "user_pseudo_id": "745846450.1644156613",
        "event_params": [param(key, value) for key, value in params.items() if value is not None],
    }
    return base | fields


def events(tmp_path: Path, *records: dict[str, Any], name: str = "events_20240309.ndjson") -> Read:
    path = tmp_path / name
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return read(CONNECTOR, path)


# --- real samples ---


def test_a_real_event_with_explicit_nulls(shared: Path) -> None:
    found = read(CONNECTOR, shared / "web_analytics/ga4/events_20220527.explicit_nulls.ndjson")
    row = found.landed[0]
    assert len(found.landed) == 1
    assert row["occurred_at"] == datetime(2022, 5, 27, 19, 30, 18, 347831, tzinfo=UTC)
    assert (row["event_name"], row["user_pseudo_id"]) == ("session_start", "745846450.1644156613")
    assert (row["ga_session_id"], row["session_number"], row["is_engaged"]) == ("1653679817", 6, True)
    assert row["page_host"] == "www.velir.com"
    assert row["page_path"] == "/ideas/2021/09/22/connecting-sitecore-identity-to-saml-part-1"
    assert row["referrer_host"] == "www.google.com"
    assert (row["device"], row["city"], row["region"]) == ("mobile", "Noida", "Uttar Pradesh")
    assert found.log.unknown_columns == set()
    # the user's first touch is not the session's source
    assert row["param_source"] is None
    assert row["collected_source"] is None


def test_a_real_event_with_left_out_keys(shared: Path) -> None:
    found = read(CONNECTOR, shared / "web_analytics/ga4/events_20210128.obfuscated_ecommerce.ndjson")
    row = found.landed[0]
    assert row["occurred_at"] == datetime(2021, 1, 28, 1, 40, 22, 695757, tzinfo=UTC)
    assert (row["ga_session_id"], row["session_number"], row["is_engaged"]) == ("3599645542", 1, True)
    assert (row["page_host"], row["page_path"]) == ("shop.googlemerchandisestore.com", "/payment.html")
    assert found.log.unknown_columns == set()


def test_real_events_without_ids_are_counted_not_landed(shared: Path) -> None:
    found = read(CONNECTOR, shared / "web_analytics/ga4/events_20231005.partial_columns.ndjson")
    assert found.raw == []
    assert found.log.skipped == {"no consent (no user_pseudo_id or no ga_session_id)": 2}
    assert found.log.notes == ["no event has user_pseudo_id and ga_session_id; were the columns exported?"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("runReport.date_eventName.json", "line 1 is not JSON"),
        ("runReport.no_rows.json", "line 1 is not JSON"),
        ("ga4_source_categories.csv", "not newline-delimited JSON"),
    ],
)
def test_other_ga4_files_are_refused(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        read(CONNECTOR, shared / "web_analytics/ga4" / name)


def test_gzip_gives_the_same_rows(shared: Path, tmp_path: Path) -> None:
    plain = shared / "web_analytics/ga4/events_20220527.explicit_nulls.ndjson"
    packed = tmp_path / f"{plain.name}.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(CONNECTOR, packed).landed == read(CONNECTOR, plain).landed


# --- what lands ---


def test_no_title_query_or_user_property_lands(tmp_path: Path) -> None:
    found = events(
        tmp_path,
        event(
            params={
                "page_location": "https://clinic.example/book?name=Ana+Horvat&phone=0911234567#x=secret",
                "page_referrer": "https://mail.example/inbox?user=ana.horvat",
                "page_title": "Booking for Ana Horvat",
                "form_text": "0911234567",
            },
            user_properties=[{"key": "fio", "value": {"string_value": "Ana Horvat"}}],
            user_id="ana@mail.example",
        ),
    )
    text = str(found.landed) + str(found.raw)
    assert found.landed[0]["page_path"] == "/book"
    assert found.landed[0]["referrer_host"] == "mail.example"
    for personal in ("Ana", "horvat", "0911234567", "secret", "ana@mail.example"):
        assert personal not in text


def test_a_user_id_that_is_no_address_lands(tmp_path: Path) -> None:
    assert events(tmp_path, event(user_id="crm-17")).landed[0]["user_ref"] == "crm-17"


def test_a_parameters_value_is_found_whatever_its_type(tmp_path: Path) -> None:
    engaged = [
        {"key": "session_engaged", "value": {"string_value": "1"}},
        {"key": "session_engaged", "value": {"int_value": "1"}},
        {"key": "session_engaged", "value": {"int_value": 1}},
        {"key": "session_engaged", "value": {"string_value": None, "int_value": None, "double_value": None}},
        {"key": "session_engaged", "value": {"string_value": "0"}},
    ]
    rows = []
    for n, extra in enumerate(engaged):
        record = event(event_timestamp=str(1710000000000000 + n))
        record["event_params"].append(extra)
        rows.append(record)
    found = [row["is_engaged"] for row in events(tmp_path, *rows).landed]
    assert found == [True, True, True, None, False]


def test_a_referrer_that_the_tag_said_to_ignore_is_none(tmp_path: Path) -> None:
    params = {"page_referrer": "https://pay.example/", "ignore_referrer": "true"}
    assert events(tmp_path, event(params=params)).landed[0]["referrer_host"] is None


def test_every_record_of_the_source_lands_beside_the_others(tmp_path: Path) -> None:
    found = events(
        tmp_path,
        event(
            params={
                "page_location": "https://clinic.example/?utm_source=URL&gclid=Cj0K_x&gad_campaignid=20643300404",
                "source": "Params",
                "medium": "Email",
            },
            collected_traffic_source={
                "manual_source": "News",
                "manual_campaign_name": "Spring",
                "gclid": "Cj0K_x",
            },
            session_traffic_source_last_click={
                "google_ads_campaign": {"customer_id": "1", "campaign_id": "77", "campaign_name": "Implants"},
                "manual_campaign": {"source": "Google", "medium": "CPC", "campaign_id": None},
                "cross_channel_campaign": {"source": "google", "campaign_name": "Implants"},
            },
            traffic_source={"source": "first-touch", "medium": "x", "name": "y"},
        ),
    )
    row = found.landed[0]
    assert {
        k: row[k]
        for k in row
        if row[k] is not None and k.split("_")[0] in ("page", "param", "collected", "ads", "manual", "cross")
    } == {
        "page_host": "clinic.example",
        "page_path": "/",
        "page_source": "url",
        "page_campaign_id": "20643300404",
        "page_click_id_type": "gclid",
        "page_click_id": "Cj0K_x",
        "param_source": "params",
        "param_medium": "email",
        "collected_source": "news",
        "collected_campaign": "Spring",
        "collected_gclid": "Cj0K_x",
        "ads_campaign_id": "77",
        "ads_campaign": "Implants",
        "manual_source": "google",
        "manual_medium": "cpc",
        "cross_source": "google",
        "cross_campaign": "Implants",
    }
    assert "first-touch" not in str(row)


# --- keys ---


def test_one_event_exported_twice_has_one_key(tmp_path: Path) -> None:
    once = event(batch_page_id="1", batch_ordering_id="2", batch_event_index="3")
    # reprocessing adds attribution after the fact: the same event, and the newer row wins
    again = once | {"session_traffic_source_last_click": {"manual_campaign": {"source": "google"}}}
    keys = [row["event_key"] for row in events(tmp_path, once, again).landed]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "change",
    [
        {"event_timestamp": "1710000000123457"},
        {"event_name": "scroll"},
        {"user_pseudo_id": "1.2"},
        {"params": {"ga_session_id": 1710000001}},
        {"batch_event_index": "2"},
    ],
)
def test_different_events_have_different_keys(tmp_path: Path, change: dict[str, Any]) -> None:
    base = {"batch_event_index": "1"}
    keys = [row["event_key"] for row in events(tmp_path, event(**base), event(**(base | change))).landed]
    assert keys[0] != keys[1]


def test_one_session_id_of_two_visitors_is_kept_apart(tmp_path: Path) -> None:
    found = events(tmp_path, event(user_pseudo_id="v1"), event(user_pseudo_id="v2"))
    assert {(r["user_pseudo_id"], r["ga_session_id"]) for r in found.landed} == {
        ("v1", "1710000000"),
        ("v2", "1710000000"),
    }


# --- what does not land ---


@pytest.mark.parametrize(
    "denied", [{"user_pseudo_id": None}, {"user_pseudo_id": ""}, {"params": {"ga_session_id": None}}]
)
def test_events_without_consent_are_counted(tmp_path: Path, denied: dict[str, Any]) -> None:
    found = events(tmp_path, event(), event(**denied), event(**denied))
    assert len(found.landed) == 1
    assert found.log.skipped == {"no consent (no user_pseudo_id or no ga_session_id)": 2}
    assert found.log.notes == []


@pytest.mark.parametrize(
    ("broken", "column"),
    [
        ({"event_timestamp": "soon"}, "occurred_at"),
        ({"event_timestamp": None}, "occurred_at"),
        ({"event_timestamp": "9" * 30}, "occurred_at"),
        ({"event_name": None}, "event_name"),
        ({"geo": "Zagreb"}, ""),
        ({"event_params": [{"value": {}}]}, ""),
        ({"event_params": {"ga_session_id": 1}}, ""),
    ],
)
def test_an_unusable_event_is_quarantined_alone(tmp_path: Path, broken: dict[str, Any], column: str) -> None:
    found = events(tmp_path, event(), event(**broken))
    assert len(found.landed) == 1
    assert [q.column for q in found.quarantined] == [column]


def test_tags_that_were_not_filled_in_are_noted(tmp_path: Path) -> None:
    found = events(tmp_path, event(params={"page_location": "https://c.example/?utm_campaign={campaignid}"}))
    assert found.landed[0]["page_campaign"] is None
    assert "1 events have a tag" in found.log.notes[0]


def test_an_intraday_table_is_noted(tmp_path: Path) -> None:
    found = events(tmp_path, event(), name="events_intraday_20240309.ndjson")
    assert "intraday" in found.log.notes[0]


# --- tables: daily, intraday, exported late ---


@pytest.mark.parametrize(
    ("name", "is_active", "kind"),
    [
        ("events_20240309.ndjson", None, "daily"),  # older daily tables lack is_active_user
        ("events_20240309_000000000003.json.gz", None, "daily"),
        ("events_20240309000000000003.json", None, "daily"),
        ("bq-events_20240309 (1).ndjson", None, "daily"),
        ("events_intraday_20240309.ndjson", None, "intraday"),
        ("Events_Intraday_20240309.ndjson", True, "intraday"),
        ("march.ndjson", None, "undeclared"),
        ("march.ndjson", False, "daily"),
        ("events_20240301_20240331.ndjson", None, "undeclared"),
    ],
)
def test_the_table_is_told_by_the_files_name_else_by_the_column_of_daily_tables(
    tmp_path: Path, name: str, is_active: bool | None, kind: str
) -> None:
    line = json.dumps(event(is_active_user=is_active)) + "\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(line.encode()) if name.endswith(".gz") else line.encode())
    assert [row["table_kind"] for row in read(CONNECTOR, path).landed] == [kind]


def test_a_wildcard_export_of_both_tables_is_told_apart_and_noted(tmp_path: Path) -> None:
    found = events(
        tmp_path, event(is_active_user=True), event(is_active_user=None, batch_page_id="9"), name="all.ndjson"
    )
    assert [row["table_kind"] for row in found.landed] == ["daily", "undeclared"]
    assert "1 days hold rows of daily and of intraday tables" in found.log.notes[0]


@pytest.mark.parametrize(
    ("name", "export"),
    [
        ("events_20240309.ndjson", "events_20240309"),
        ("Events_20240309.NDJSON", "events_20240309"),
        ("events_20240309 (2).ndjson", "events_20240309"),
        ("events_20240309_000000000001.json", "events_20240309_000000000001"),
    ],
)
def test_a_file_replaces_the_one_of_its_name(tmp_path: Path, name: str, export: str) -> None:
    assert events(tmp_path, event(), name=name).landed[0]["export_name"] == export


def test_the_day_is_the_tables_not_the_times(tmp_path: Path) -> None:
    # 23:30 in New York is the next day in UTC
    found = events(tmp_path, event(event_date="20240308"), event(event_date=None, batch_page_id="1"))
    assert [row["event_date"] for row in found.landed] == [date(2024, 3, 8), date(2024, 3, 9)]


@pytest.mark.parametrize("wrong", ["2024-03-09", "20241301", "", 9])
def test_a_day_that_is_none_is_quarantined(tmp_path: Path, wrong: Any) -> None:
    assert events(tmp_path, event(event_date=wrong)).reasons == ["event_date: is not a day like 20240309"]


class Site:
    """A landing zone with one GA4 source."""

    def __init__(self, root: Path) -> None:
        config = root / "clinic.yaml"
        clinic = "clinic: {name: Test, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}\n"
        config.write_text(clinic + "sources:\n  site: {kind: ga4}\n")
        self._data = root / "data"
        self._landing = Landing(load_clinic(config, self._data), Privacy(b"a key for tests only", "HR"))
        self._landing.prepare()
        self._at = 1_750_000_000

    def drop(self, name: str, *records: dict[str, Any]) -> None:
        """Drop a file of events, newer than the ones before, and land it."""
        path = self._data / "inbox/site/events" / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        self._at += 60
        os.utime(path, (self._at, self._at))
        assert [record.status for record in self._landing.land("ga4", "events")] == ["landed"]

    def live(self) -> list[tuple[str, str]]:
        """(kind of table, event name) of what is live."""
        manifest = next(self._data.glob("landing/ga4/events/source=*/manifest.json"))
        files = [str(manifest.parent / name) for name in json.loads(manifest.read_text())["files"]]
        with duckdb.connect() as con:
            rows = con.execute(
                f"select table_kind, event_name from read_parquet({files}) order by all"
            ).fetchall()
        return [(kind, name) for kind, name in rows]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def named(name: str, day: str = "20240309", **fields: Any) -> dict[str, Any]:
    return event(event_name=name, event_date=day, **fields)


def test_a_late_export_of_a_table_replaces_it_whole(site: Site) -> None:
    site.drop("events_20240309.ndjson", named("page_view"), named("spam"), named("scroll"))
    site.drop("events_20240310.ndjson", named("other_day", "20240310"))
    site.drop("events_20240309.ndjson", named("page_view"), named("late"), named("scroll"))
    assert site.live() == [
        ("daily", "late"),
        ("daily", "other_day"),
        ("daily", "page_view"),
        ("daily", "scroll"),
    ]


def test_parts_of_a_table_add_up_and_a_late_part_replaces_its_own(site: Site) -> None:
    site.drop("events_20240309_000000000000.json", named("a"), named("b"))
    site.drop("events_20240309_000000000001.json", named("c"))
    site.drop("events_20240309_000000000000.json", named("a"))
    assert site.live() == [("daily", "a"), ("daily", "c")]


def test_an_event_in_files_of_two_names_is_one_event(site: Site) -> None:
    site.drop("week10.ndjson", named("a"), named("b"))
    site.drop("week10-11.ndjson", named("b"), named("c"))
    assert [name for _, name in site.live()] == ["a", "b", "c"]


def test_an_intraday_row_never_stands_in_for_the_daily_row_of_its_event(site: Site) -> None:
    """Which of the two counts is decided downstream, by day: see stg_ga4__events."""
    site.drop("events_intraday_20240309.ndjson", named("a"))
    site.drop("events_20240309.ndjson", named("a", is_active_user=True))
    site.drop("events_intraday_20240309.ndjson", named("a"), named("b"))
    assert site.live() == [("daily", "a"), ("intraday", "a"), ("intraday", "b")]


# --- columns nobody knows, files that are none ---


def test_a_column_nobody_knows_is_named(tmp_path: Path) -> None:
    assert events(tmp_path, event(new_record={})).log.unknown_columns == {"new_record"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("[]", "not newline-delimited"),
        ("<html>", "not newline-delimited"),
        ('{"rows": []}\n', "no GA4 event"),
        ('\n{"rows": []}\n', "line 2 is no GA4 event"),
        ('{"event_name": "x", "event_timestamp": "1"}\n{"event_name": "x", "event_ti', "line 2 is not JSON"),
        ('{"event_name": "x", "event_timestamp": "1"}\n[1]\n', "line 2 is not a JSON object"),
    ],
)
def test_what_is_no_export_is_refused_whole(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(content)
    with pytest.raises(FileRefused, match=reason):
        read(CONNECTOR, path)


def test_a_gzip_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson.gz"
    body = "".join(json.dumps(event(event_timestamp=str(n))) + "\n" for n in range(500))
    path.write_bytes(gzip.compress(body.encode())[:-200])
    with pytest.raises(FileRefused):
        read(CONNECTOR, path)


def test_sessions_of_record_does_not_change_how_files_are_read() -> None:
    plain, marked = options(CONNECTOR), options(CONNECTOR, sessions_of_record=True)
    assert CONNECTOR.fingerprint(plain, EVENTS) == CONNECTOR.fingerprint(marked, EVENTS)


@given(micros=st.integers(min_value=0, max_value=4 * 10**15))
def test_event_times_are_exact_to_the_microsecond(
    tmp_path_factory: pytest.TempPathFactory, micros: int
) -> None:
    found = events(tmp_path_factory.mktemp("ga4"), event(event_timestamp=str(micros)))
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    if found.landed:
        assert found.landed[0]["occurred_at"] == expected
    else:
        assert expected.year > 2029, "only a time after the file's arrival is refused"
