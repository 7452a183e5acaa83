"""What the real pipeline publishes and builds is exactly what the simulator knows to be true, at any size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.truth.comparison import TABLES, differences, open_published, read_truth
from tests.truth.conftest import BUILDS, Build, Night

PRECISION, RECALL = 0.995, 0.98

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("name", TABLES)
def test_published_table_is_the_truth(night: Night, name: str) -> None:
    with open_published(night.warehouse) as warehouse:
        found = differences(warehouse, night.made.truth_dir, name)
    assert not found, "\n".join([f"{len(found)} differences", *found[:20]])


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("seed", BUILDS)
def test_built_table_is_the_truth(build_of: Callable[[int], Build], seed: int, name: str) -> None:
    build = build_of(seed)
    with open_published(build.warehouse) as warehouse:
        found = differences(warehouse, build.truth_dir, name)
    assert not found, "\n".join([f"{len(found)} differences", *found[:20]])


@pytest.mark.parametrize("seed", BUILDS)
def test_links_find_the_contact_that_truly_brought_the_patient(
    build_of: Callable[[int], Build], seed: int
) -> None:
    build = build_of(seed)
    with open_published(build.warehouse) as warehouse:
        links = dict(
            warehouse.execute(
                "select patient_id, acquiring_contact_id from journeys.patient_journeys"
            ).fetchall()
        )
    truth = read_truth(build.truth_dir, "links")
    linked = [row for row in truth if links[row["patient_id"]] is not None]
    reachable = [row for row in truth if row["is_reachable"] == "True"]
    assert len(linked) > 100
    assert len(reachable) > 100
    right = [row for row in linked if links[row["patient_id"]] == row["true_contact_id"]]
    found = [row for row in reachable if links[row["patient_id"]] == row["true_contact_id"]]
    assert len(right) / len(linked) >= PRECISION
    assert len(found) / len(reachable) >= RECALL


def test_rows_of_every_load_reconcile(night: Night) -> None:
    assert night.published.went_well
    with open_published(night.warehouse) as warehouse:
        [(loads, lost, failed)] = warehouse.execute(
            """
            select
                count(*),
                count(*) filter (where rows_read != rows_landed + rows_duplicate + rows_quarantined),
                count(*) filter (where status = 'failed')
            from ops.loads
            """
        ).fetchall()
    assert loads > 700
    assert lost == 0
    assert failed == 0


@pytest.mark.parametrize("seed", [seed for seed, (_, flaws) in BUILDS.items() if flaws])
def test_a_status_nobody_mapped_is_warned_of_and_stops_nothing(
    build_of: Callable[[int], Build], seed: int
) -> None:
    warned = [line for line in build_of(seed).said.splitlines() if " WARN " in line]
    assert warned
    assert all("unmapped_statuses" in line for line in warned)
