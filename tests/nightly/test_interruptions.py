"""Runs that are killed, and runs that meet: the published file is whole, the next run ends as ever."""

from __future__ import annotations

import hashlib
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from pipelines.home import open_instance
from tests.nightly.conftest import FirstNight
from tests.nightly.small_clinic import SmallClinic, wait_for


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_killed_anywhere_the_published_file_stays_and_the_next_run_ends_as_if_nothing_had_been(
    first_night: FirstNight, tmp_path: Path
) -> None:
    """Three runs are killed: while landing, while dbt builds, while publishing. The fourth may end.

    It has the same exports as the clinic of the first night, and must publish the same.
    """
    clinic = SmallClinic(tmp_path)
    clinic.write()
    clinic.published.parent.mkdir(parents=True)
    shutil.copyfile(first_night.clinic.published, clinic.published)
    before = digest(clinic.published)
    loads = clinic.data / "landing" / "loads.jsonl"
    build = clinic.data / "warehouse" / "build"

    clinic.kill_when(lambda: loads.exists() and loads.stat().st_size > 0)
    assert digest(clinic.published) == before
    landed = clinic.data / "landing" / "mapped_file" / "visits" / "source=mis" / "manifest.json"
    assert not landed.exists(), "it was to be killed before the last stream had landed"

    clinic.kill_when(lambda: is_building(build))
    assert digest(clinic.published) == before

    clinic.kill_when(lambda: any(build.glob("*/next.duckdb")))
    assert digest(clinic.published) == before

    # Ctrl-C is milder: dbt is stopped too, and one line says what that means.
    left = [slot.name for slot in build.iterdir()]
    interrupted = clinic.start("run")
    wait_for(lambda: is_building(build, besides=left), 120)
    interrupted.send_signal(signal.SIGINT)
    said, _ = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, said
    assert said.splitlines()[-1].startswith("firstvisit: interrupted; nothing was published")
    assert list(build.iterdir()) == []
    assert digest(clinic.published) == before

    # While the next run goes on, a second one says who holds the data directory.
    last = clinic.start("run")
    wait_for(lambda: f'"pid": {last.pid}' in held(clinic), 120)
    second = clinic.firstvisit("run")
    assert second.code == 75, second.out + second.err
    assert f"process {last.pid} since" in second.err
    assert len(second.err.splitlines()) == 1
    said, _ = last.communicate(timeout=600)
    assert last.returncode == 0, said

    assert digest(clinic.published) != before
    assert clinic.contents() == first_night.contents
    assert list(build.iterdir()) == []
    unfinished = [
        p.name for p in (clinic.data / "landing").rglob("*") if p.suffix == ".tmp" or p.name == ".staging"
    ]
    assert unfinished == []
    with open_instance(clinic.data) as instance:
        statuses = [run.status for run in instance.get_runs()]
        assert instance.event_log_storage.get_concurrency_info("warehouse").claimed_slots == []
    # Three were killed, one was interrupted, and the second of two was refused.
    assert statuses.count(dg.DagsterRunStatus.FAILURE) == 5
    assert statuses.count(dg.DagsterRunStatus.SUCCESS) == 1
    assert len(statuses) == 6


def is_building(build: Path, besides: Sequence[str] = ()) -> bool:
    """Whether dbt has written something, in a slot that no killed run left."""
    # DuckDB writes into the log beside the file first.
    files = [path for path in build.glob("*/firstvisit.duckdb*") if path.parent.name not in besides]
    return sum(path.stat().st_size for path in files) > 50_000


def held(clinic: SmallClinic) -> str:
    try:
        return (clinic.data / "run.lock.json").read_text()
    except FileNotFoundError:
        return ""
