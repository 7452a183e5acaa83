"""What the real pipeline publishes is exactly what the simulator knows to be true."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.truth.comparison import TABLES, differences, open_published, read_truth
from tests.truth.conftest import CLINICS, Night

PRECISION, RECALL = 0.995, 0.98

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("seed", CLINICS)
def test_published_table_is_the_truth(night_of: Callable[[int], Night], seed: int, name: str) -> None:
    night = night_of(seed)
    with open_published(night.warehouse) as warehouse:
        found = differences(warehouse, night.made.truth_dir, name)
    assert not found, "\n".join([f"{len(found)} differences", *found[:20]])


@pytest.mark.parametrize("seed", CLINICS)
def test_links_find_the_contact_that_truly_brought_the_patient(
    night_of: Callable[[int], Night], seed: int
) -> None:
    night = night_of(seed)
    with open_published(night.warehouse) as warehouse:
        links = dict(
            warehouse.execute(
                "select patient_id, acquiring_contact_id from journeys.patient_journeys"
            ).fetchall()
        )
    truth = read_truth(night.made.truth_dir, "links")
    linked = [row for row in truth if links[row["patient_id"]] is not None]
    reachable = [row for row in truth if row["is_reachable"] == "True"]
    assert len(linked) > 200
    assert len(reachable) > 200
    right = [row for row in linked if links[row["patient_id"]] == row["true_contact_id"]]
    found = [row for row in reachable if links[row["patient_id"]] == row["true_contact_id"]]
    assert len(right) / len(linked) >= PRECISION
    assert len(found) / len(reachable) >= RECALL


@pytest.mark.parametrize("seed", CLINICS)
def test_rows_of_every_load_reconcile(night_of: Callable[[int], Night], seed: int) -> None:
    with open_published(night_of(seed).warehouse) as warehouse:
        loads, lost, failed = warehouse.execute(
            """
            select
                count(*),
                count(*) filter (where rows_read != rows_landed + rows_duplicate + rows_quarantined),
                count(*) filter (where status = 'failed')
            from ops.loads
            """
        ).fetchone()  # type: ignore[misc]
    assert loads > 700
    assert lost == 0
    assert failed == 0


@pytest.mark.parametrize("seed", CLINICS)
def test_a_status_nobody_mapped_is_named_and_does_not_stop_the_night(
    night_of: Callable[[int], Night], seed: int
) -> None:
    has_flaws = CLINICS[seed][1]
    night = night_of(seed)
    assert night.published.went_well != has_flaws
    with open_published(night.warehouse) as warehouse:
        ((warnings,),) = warehouse.execute("select warnings from ops.publication").fetchall()
    assert ["unmapped_statuses" in warning for warning in warnings] == [True] * has_flaws
