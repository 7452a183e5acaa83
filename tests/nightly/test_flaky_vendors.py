"""A night over eight vendors that fail at random ends as a night over vendors that do not."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from pydantic import SecretStr
from rich.console import Console

from connectors import _api
from connectors.contract import SourceOptions
from pipelines import landing
from pipelines.config import load_clinic
from pipelines.run import run_nightly
from tests.truth.pipeline import HASH_KEY, land_and_build
from tests.vendors.loopback import ApiContract, Fault, Loopback, Request, playing
from tests.vendors.test_callrail import TestCallrailApi
from tests.vendors.test_calltouch import TestCalltouchCalls
from tests.vendors.test_google_ads import TestGoogleAdsSpend
from tests.vendors.test_matomo import TestMatomoApi
from tests.vendors.test_meta_ads import TestMetaAdsApi
from tests.vendors.test_open_dental import TestOpenDentalApi
from tests.vendors.test_uis_comagic import TestUisComagicApi
from tests.vendors.test_yandex_direct import TestYandexDirectApi

VENDORS: tuple[type[ApiContract], ...] = (
    TestCalltouchCalls,
    TestCallrailApi,
    TestUisComagicApi,
    TestGoogleAdsSpend,
    TestYandexDirectApi,
    TestMetaAdsApi,
    TestMatomoApi,
    TestOpenDentalApi,
)
SINCE, TODAY = date(2024, 3, 1), date(2024, 4, 3)
SHARE = 0.2
FAULTS: tuple[Fault, ...] = ("busy", "broken", "cut", "page")
# Collected here they would be asked again.
for _vendor in VENDORS:
    globals().pop(_vendor.__name__, None)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_api, "pause", lambda _seconds: None)
    monkeypatch.setattr(landing, "today", lambda _zone: TODAY)
    monkeypatch.setenv("FIRSTVISIT_HASH_KEY", HASH_KEY)


def flaky(seed: int) -> Callable[[int, Request], Fault | None]:
    """A fifth of the requests goes wrong, in one of four ways."""
    chance = random.Random(seed)
    return lambda _number, _request: chance.choice(FAULTS) if chance.random() < SHARE else None


@contextmanager
def vendors(folder: Path, seed: int | None) -> Iterator[tuple[Path, dict[str, Loopback]]]:
    """The clinic.yaml of a clinic with these vendors, and their servers, which fail when there is a seed."""
    folder.mkdir()
    with ExitStack() as stack:
        servers, blocks = {}, {}
        for number, contract in enumerate(VENDORS):
            vendor = contract()
            vendor.fresh()
            fault = None if seed is None else flaky(seed + number)
            server = stack.enter_context(playing(vendor.vendor, fault))
            source = vendor.source(server.url)
            servers[source.kind] = server
            blocks[source.kind] = block(source)
        clinic = {"name": "Flaky", "timezone": "Europe/Zagreb", "currency": "EUR", "phone_region": "HR"}
        config = folder / "clinic.yaml"
        config.write_text(yaml.safe_dump({"clinic": clinic, "sources": blocks}), encoding="utf-8")
        reference = folder / "data" / "reference"
        reference.mkdir(parents=True)
        (reference / "fx_rates.csv").write_text(
            "rate_date,currency,rate\n"
            + "".join(
                f"2024-{month:02}-{day:02},{currency},{rate}\n"
                for month in (1, 2, 3, 4)
                for day in (1, 8, 15, 22, 28)
                for currency, rate in (("USD", "0.92"), ("RUB", "0.01"))
            ),
            encoding="utf-8",
        )
        yield config, servers


def block(source: SourceOptions) -> dict[str, Any]:
    """The clinic.yaml lines of a source, its secrets in the environment."""
    lines: dict[str, Any] = {}
    for name in source.model_fields_set - {"name"}:
        value = getattr(source, name)
        if name.startswith("clinic_") or value is None:
            continue
        if isinstance(value, SecretStr):
            variable = f"{source.kind}_{name}".upper()
            os.environ[variable] = value.get_secret_value()
            value = f"${{{variable}}}"
        lines[name] = value if isinstance(value, (str, int, bool)) else str(value)
    return {**lines, "since": SINCE}


def contents(warehouse: Path) -> Iterator[tuple[str, list[str]]]:
    """Every table that is published, with its rows as sorted text, but for what tells of the night itself."""
    with duckdb.connect(str(warehouse), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        tables = con.execute(
            """
            select schema_name, table_name from duckdb_tables()
            where schema_name in ('conformed', 'journeys', 'marts')
            order by all
            """
        ).fetchall()
        for schema, table in tables:
            rows = con.execute(f'from "{schema}"."{table}"').fetchall()
            yield f"{schema}.{table}", sorted(map(repr, rows))


@pytest.mark.timeout(900)
def test_a_fifth_of_the_requests_failing_changes_no_mart(tmp_path: Path) -> None:
    calm_warehouse = tmp_path / "calm.duckdb"
    with vendors(tmp_path / "calm", None) as (config, servers):
        land_and_build(config, config.parent / "data", calm_warehouse, tmp_path / "target")
        asked = sum(len(server.requests) for server in servers.values())
    with (
        vendors(tmp_path / "stormy", 20240401) as (config, servers),
        (tmp_path / "said.txt").open("w") as said,
    ):
        clinic = load_clinic(config, config.parent / "data")
        stormy = run_nightly(clinic, Console(file=said, width=200))
        asked_again = sum(len(server.requests) for server in servers.values())
    assert stormy.published, stormy.wrong
    assert [line for line in stormy.wrong if "landing/" in line] == []
    assert asked_again > 1.15 * asked
    calm = dict(contents(calm_warehouse))
    assert dict(contents(clinic.data_dir / "warehouse" / "firstvisit.duckdb")) == calm
    for table in (
        "conformed.calls",
        "conformed.ad_spend",
        "conformed.web_sessions",
        "conformed.appointments",
        "marts.cost_per_call",
    ):
        assert calm[table], f"{table} has rows to compare"
