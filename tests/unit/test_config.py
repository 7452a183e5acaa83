# ruff: noqa: E501 - the expected lines are quoted whole
"""clinic.yaml: every mistake is one line with the file, the key's path and what is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.conformed import INPUTS
from pipelines.config import Clinic, ConfigError, load_clinic

CLINIC = "clinic: {name: Northgate ENT, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}\n"


def load(folder: Path, text: str) -> Clinic:
    path = folder / "clinic.yaml"
    path.write_text(text, encoding="utf-8")
    return load_clinic(path, folder / "data")


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(folder, text)
    assert all("\n" not in line for line in error.value.mistakes)
    return error.value.mistakes


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; `firstvisit init` writes one"):
        load_clinic(tmp_path / "clinic.yaml", tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "clinic.yaml: is empty; `firstvisit init` writes one to start from"),
        ("clinic: [", "clinic.yaml:1: not valid YAML: "),
        ("sources: {}", "clinic.yaml: clinic: is required"),
        (
            CLINIC + "attribution: {lookback_days: 90, lookback_days: 30}",
            "the key 'lookback_days' is written twice (line 2)",
        ),
        (
            CLINIC + "attribution: {look_back_days: 30}",
            "clinic.yaml: attribution.look_back_days: unknown key; did you mean lookback_days?; accepted: lookback_days, default_model, half_life_days",
        ),
        (
            CLINIC + "attribution: {default_model: last_click}",
            "clinic.yaml: attribution.default_model: Input should be 'first_touch'",
        ),
        (
            CLINIC + "calls: {unique_days: 0}",
            "clinic.yaml: calls.unique_days: Input should be greater than or equal to 1",
        ),
        (
            CLINIC + "calls: {tag_words: [{pattern: 'a(b', meaning: spam}]}",
            "clinic.yaml: calls.tag_words.0.pattern: no regular expression; escape",
        ),
        (
            CLINIC + "calls: {tag_words: [{pattern: a, meaning: score}]}",
            "clinic.yaml: calls.tag_words.0: write score, from 0 to 1, where the meaning is score",
        ),
        (
            CLINIC + "calls: {tag_words: [{pattern: a, meaning: spam, score: 1}]}",
            "clinic.yaml: calls.tag_words.0: write score, from 0 to 1, where the meaning is score",
        ),
        (
            CLINIC + "calls: {tag_words: [{pattern: a, meaning: score, score: 2}]}",
            "clinic.yaml: calls.tag_words.0.score: Input should be less than or equal to 1",
        ),
        (
            CLINIC.replace("HR", "NO"),
            "clinic.yaml: clinic.phone_region: YAML reads this as true/false; put it in quotes",
        ),
        (
            CLINIC.replace("HR", "XX"),
            "clinic.yaml: clinic.phone_region: write the two-letter ISO 3166 country code, e.g. HR",
        ),
        (
            CLINIC.replace("EUR", "euro"),
            "clinic.yaml: clinic.currency: write the three-letter ISO 4217 code, e.g. EUR",
        ),
        (
            CLINIC.replace("Zagreb", "Zagrab"),
            "clinic.yaml: clinic.timezone: unknown time zone 'Europe/Zagrab'; use an IANA name, e.g. Europe/Zagreb",
        ),
        (
            CLINIC.replace("HR}", "HR, own_numbers: ['12']}"),
            "clinic.yaml: clinic.own_numbers: '12' is not a phone number",
        ),
        (
            CLINIC.replace("HR}", "HR, brand_terms: ['']}"),
            "clinic.yaml: clinic.brand_terms: an empty brand term would match every campaign",
        ),
        (
            CLINIC + "sources: {ads: {kind: google_adds}}",
            "clinic.yaml: sources.ads.kind: 'google_adds' is not a kind of source; did you mean google_ads?; accepted: ",
        ),
        (
            CLINIC + "sources: {Ads-1: {kind: google_ads}}",
            "clinic.yaml: sources.Ads-1: a source's name is lower-case letters, digits and _",
        ),
        (
            CLINIC + "sources: {ads: {kind: google_ads, acount: x}}",
            "clinic.yaml: sources.ads.acount: unknown key; did you mean account?; accepted: ",
        ),
        (
            CLINIC + "sources: {ads: {kind: google_ads, name: x}}",
            "clinic.yaml: sources.ads.name: unknown key; accepted: kind, account, ",
        ),
        (
            CLINIC + "sources: {ads: {kind: google_ads, account: '${NO_SUCH_VARIABLE}'}}",
            "clinic.yaml: sources.ads.account: the environment variable NO_SUCH_VARIABLE is not set",
        ),
        (
            CLINIC + "sources: {mis: {kind: mapped_file, streams: {visitz: {columns: {}}}}}",
            "clinic.yaml: sources.mis.streams",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, text: str, line: str) -> None:
    assert any(line in found for found in mistakes(tmp_path, text)), mistakes(tmp_path, text)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = (
        CLINIC
        + "sources: {a: {kind: nothing}, b: {kind: google_ads, x: 1}, c: {kind: google_ads, y: '${NOPE_}'}}"
    )
    assert [line.split(": ")[1] for line in mistakes(tmp_path, text)] == [
        "sources.c.y",
        "sources.a.kind",
        "sources.b.x",
        "sources.c.y",
    ]


def test_the_environment_fills_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADS_ACCOUNT", "main")
    clinic = load(tmp_path, CLINIC + "sources: {ads: {kind: google_ads, account: '${ADS_ACCOUNT}'}}")
    assert clinic.sources["ads"].account == "main"


def test_one_vat_rate_or_a_dated_list(tmp_path: Path) -> None:
    one = load(tmp_path, CLINIC.replace("HR}", "HR, vat_rates: 0.25}"))
    assert one.dbt_vars()["vat_rates"] == [{"since": "1970-01-01", "rate": 0.25}]
    dated = load(tmp_path, CLINIC.replace("HR}", "HR, vat_rates: [{since: 2019-01-01, rate: 0.2}]}"))
    assert dated.dbt_vars()["vat_rates"] == [{"since": "2019-01-01", "rate": 0.2}]


def test_only_the_configured_kinds_are_in_the_graph(tmp_path: Path) -> None:
    clinic = load(tmp_path, CLINIC + "sources: {ads: {kind: google_ads}, ads2: {kind: google_ads}}")
    assert clinic.kinds() == ["google_ads"]
    streams = [(kind, stream.name) for kind, stream in clinic.streams() if kind != "reference"]
    assert len(streams) == len(set(streams))
    assert ("google_ads", "ad_spend") in streams
    feeds = clinic.dbt_vars()["feeds"]
    assert feeds["ad_spend"] == ["google_ads"]
    assert feeds["calls"] == []
    assert set(feeds) >= set(INPUTS)


TWO_WEBS = """sources:
  site: {kind: ga4%s}
  other:
    kind: mapped_file
    streams: {web_sessions: {columns: {session_id: id, started_at: at}}}
"""


def test_a_visit_counts_once_so_one_of_two_web_analytics_is_of_record(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, CLINIC + TWO_WEBS % "")
    assert mistake == (
        "clinic.yaml: sources: other, site all count web sessions, and a visit must count once; "
        "set `sessions_of_record: true` on one of them"
    )
    assert load(tmp_path, CLINIC + TWO_WEBS % ", sessions_of_record: true").sessions_of_record() == ["site"]


def test_the_clinics_own_tag_words_reach_dbt(tmp_path: Path) -> None:
    words = [
        "{pattern: 'grade [AB]', meaning: score, score: 0.75}",
        "{pattern: krivi broj, meaning: irrelevant}",
    ]
    clinic = load(
        tmp_path, CLINIC + f"calls: {{tag_words: [{', '.join(words)}]}}\nsources: {{m: {{kind: cost_sheet}}}}"
    )
    assert clinic.dbt_vars()["tag_words"] == [
        {"pattern": "grade [AB]", "meaning": "score", "score": "0.75"},
        {"pattern": "krivi broj", "meaning": "irrelevant"},
    ]
