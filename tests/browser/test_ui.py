"""The Dagster UI as `firstvisit ui` serves it: the graph is one, and a run started there publishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.conftest import Ui
from tests.nightly.conftest import FirstNight
from tests.nightly.small_clinic import wait_for

pytestmark = pytest.mark.browser
PAGE_SECONDS = 60
RUN_SECONDS = 420


def until_text(browser: webdriver.Chrome, *expected: str) -> str:
    """Wait until the page shows all of the texts; its whole text."""
    page: Callable[[webdriver.Chrome], str] = lambda b: b.find_element(By.TAG_NAME, "body").text  # noqa: E731
    WebDriverWait(browser, PAGE_SECONDS).until(lambda b: all(text in page(b) for text in expected))
    return page(browser)


def test_every_landing_stream_leads_to_the_published_warehouse(ui: Ui) -> None:
    nodes = ui.ask("{ assetNodes { assetKey { path } dependencyKeys { path } groupName description } }")[
        "assetNodes"
    ]
    parents = {
        "/".join(node["assetKey"]["path"]): ["/".join(key["path"]) for key in node["dependencyKeys"]]
        for node in nodes
    }
    above, waiting = set(), ["published_warehouse"]
    while waiting:
        key = waiting.pop()
        if key not in above:
            above.add(key)
            waiting += parents[key]
    assert {
        "landing/mapped_file/visits",
        "landing/mapped_file/calls",
        "landing/cost_sheet/other_costs",
    } <= above
    assert set(parents) - above == {"night_outcome"}
    assert all(node["groupName"] and node["description"] for node in nodes)


def test_the_page_shows_the_graph_from_landing_to_publish(
    ui: Ui, browser: webdriver.Chrome, pictures: Path
) -> None:
    browser.get(f"{ui.address}/asset-groups")
    until_text(browser, "landing", "staging", "conformed", "journeys", "marts", "publish")
    edges = (By.CSS_SELECTOR, "svg path[marker-end]")
    WebDriverWait(browser, PAGE_SECONDS).until(lambda b: len(b.find_elements(*edges)) >= 8)
    browser.save_screenshot(str(pictures / "graph.png"))


def test_schedule_and_sensor_are_on(ui: Ui, browser: webdriver.Chrome, pictures: Path) -> None:
    found = ui.ask(
        "{ repositoriesOrError { ... on RepositoryConnection { nodes {"
        " schedules { name cronSchedule executionTimezone scheduleState { status } }"
        " sensors { name sensorState { status } } } } } }"
    )
    [repository] = found["repositoriesOrError"]["nodes"]
    assert repository["schedules"] == [
        {
            "name": "nightly",
            "cronSchedule": "0 3 * * *",
            "executionTimezone": "Europe/Zagreb",
            "scheduleState": {"status": "RUNNING"},
        }
    ]
    assert repository["sensors"] == [{"name": "inbox", "sensorState": {"status": "RUNNING"}}]
    browser.get(f"{ui.address}/automation")
    until_text(browser, "inbox", "nightly", "03:00 AM")
    browser.save_screenshot(str(pictures / "automation.png"))


def test_a_run_started_on_the_page_publishes(
    ui: Ui, browser: webdriver.Chrome, pictures: Path, first_night: FirstNight
) -> None:
    """Nothing new was exported, so the new publication says the same as the first night's."""
    known = {run["runId"] for run in runs(ui)}
    browser.get(f"{ui.address}/asset-groups")
    button = (By.XPATH, "//button[contains(., 'Materialize all')]")
    # The landing assets have days: a run from the page says which to read again.
    latest = (By.XPATH, "//button[normalize-space(.)='Latest']")
    launch = (By.XPATH, "//button[starts-with(normalize-space(.), 'Launch')]")
    for wanted in (button, latest, launch):
        WebDriverWait(browser, PAGE_SECONDS).until(
            expected_conditions.element_to_be_clickable(wanted)
        ).click()
    wait_for(lambda: len(runs(ui)) > len(known), RUN_SECONDS, every=0.5)
    # A page that follows the run live would take half of a small machine from it.
    browser.get("about:blank")
    clinic = first_night.clinic
    before = clinic.rows("select run_id from ops.publication")
    made: dict[str, str] = {}

    def over() -> bool:
        made.update({r["runId"]: r["status"] for r in runs(ui) if r["runId"] not in known})
        ended = all(status in ("SUCCESS", "FAILURE", "CANCELED") for status in made.values())
        return ended and (
            clinic.rows("select run_id from ops.publication") != before or "FAILURE" in made.values()
        )

    wait_for(over, RUN_SECONDS, every=1)
    assert set(made.values()) == {"SUCCESS"}, [failure(ui, run) for run in made]
    [(started,)] = clinic.rows("select run_id from ops.publication")
    browser.get(f"{ui.address}/runs/{started}")
    until_text(browser, "Success", "published_warehouse")
    browser.save_screenshot(str(pictures / "run.png"))
    assert clinic.contents() == first_night.contents


def test_an_asset_shows_rows_columns_and_their_descriptions(
    ui: Ui, browser: webdriver.Chrome, pictures: Path
) -> None:
    browser.get(f"{ui.address}/assets/marts/cost_per_patient")
    shown = until_text(browser, "Row count", "cost_per_patient", "decimal(18,2)", "First day of the month")
    assert "Latest materialization" in shown
    browser.save_screenshot(str(pictures / "asset.png"))


def runs(ui: Ui) -> list[dict[str, str]]:
    found = ui.ask("{ runsOrError { ... on Runs { results { runId status } } } }")
    results: list[dict[str, str]] = found["runsOrError"]["results"]
    return results


def failure(ui: Ui, run_id: str) -> list[str]:
    """What the run says went wrong."""
    found = ui.ask(
        "query Logs($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {"
        " ... on MessageEvent { message level }"
        " ... on ExecutionStepFailureEvent { error { message } } } } } }",
        id=run_id,
    )
    events = found["logsForRun"]["events"]
    return [str(event) for event in events if event.get("error") or event.get("level") == "ERROR"]
