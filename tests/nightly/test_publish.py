"""Publishing: whole or not at all, whatever happens on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipelines import publish as module
from pipelines.publish import PublishError, build_path, publish, published_path, take_slot
from tests.conftest import ROOT

FUNCTIONS = ("_check_room", "_copy", "_verify", "_keep_present", "_prune")


def build(data: Path, cost: int) -> Path:
    """A build of one mart, one view, a table that is not published, and their comments."""
    path = build_path(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as con:
        for schema in ("marts", "journeys", "conformed", "ops", "staging"):
            con.execute(f"create schema {schema}")
        con.execute(f"create table marts.m as select {cost}::decimal(18, 2) as cost, 'it''s' as \"a b\"")
        con.execute("comment on table marts.m is 'What it''s about.'")
        con.execute("comment on column marts.m.\"a b\" is 'Quoted.'")
        con.execute("create view journeys.v as select now()::timestamptz as at, ['x'] as l")
        con.execute("comment on view journeys.v is 'A view.'")
        con.execute("create table conformed.as_of as select date '2026-03-20' as as_of")
        con.execute("create table staging.secret as select 1 as x")
    return path


def cost_of(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as con:
        return int(con.execute("select cost from marts.m").fetchall()[0][0])


def kept_files(data: Path) -> list[Path]:
    """The earlier published files, oldest first."""
    return sorted(published_path(data).parent.glob("firstvisit.*.duckdb"), key=lambda p: p.stat().st_mtime_ns)


def test_only_the_published_schemas_are_copied_with_their_comments(tmp_path: Path) -> None:
    done = publish(build(tmp_path, 1), tmp_path, run_id="r", warnings=["one load failed"], keep=1)
    assert done.tables == {
        "marts.m": 1,
        "journeys.v": 1,
        "conformed.as_of": 1,
        "ops.publication": 1,
        "ops.restatements": 0,
    }
    assert done.as_of == "2026-03-20"
    with duckdb.connect(str(done.path), read_only=True) as con:
        comments = dict(con.execute("select table_name, comment from duckdb_tables()").fetchall())
        assert comments["m"] == "What it's about."
        assert comments["v"] == "A view."
        assert con.execute("select comment from duckdb_columns() where column_name = 'a b'").fetchall() == [
            ("Quoted.",)
        ]
        assert con.execute("select warnings, run_id from ops.publication").fetchall() == [
            (["one load failed"], "r")
        ]


def test_a_reader_keeps_the_file_it_opened_and_sees_the_new_one_on_reconnecting(tmp_path: Path) -> None:
    publish(build(tmp_path, 1), tmp_path, run_id="r", warnings=[], keep=1)
    reader = duckdb.connect(str(published_path(tmp_path)), read_only=True)
    # Another process, as an analyst is: within one, DuckDB shares the open file among connections.
    subprocess.run(
        [sys.executable, "-c", PUBLISH, str(tmp_path), "", ""],
        cwd=ROOT,
        check=True,
        env={**os.environ, "COST": "2"},
    )
    assert reader.execute("select cost from marts.m").fetchall()[0][0] == 1
    reader.close()
    assert cost_of(published_path(tmp_path)) == 2


def test_earlier_files_are_kept_newest_first_and_no_more_than_asked(tmp_path: Path) -> None:
    for cost in range(1, 6):
        publish(build(tmp_path, cost), tmp_path, run_id="r", warnings=[], keep=2)
    assert [cost_of(path) for path in kept_files(tmp_path)] == [3, 4]
    assert cost_of(published_path(tmp_path)) == 5


def test_a_file_system_without_hard_links_keeps_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    for cost in (1, 2):
        publish(build(tmp_path, cost), tmp_path, run_id="r", warnings=[], keep=2)
    [kept] = published_path(tmp_path).parent.glob("firstvisit.*.duckdb")
    assert (cost_of(kept), cost_of(published_path(tmp_path))) == (1, 2)


def test_without_a_build_the_message_says_what_to_materialize(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="materialize the dbt models with it"):
        publish(build_path(tmp_path), tmp_path, run_id="r", warnings=[], keep=1)


def test_a_full_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build(tmp_path, 1)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(PublishError, match="not enough disk space"):
        publish(made, tmp_path, run_id="r", warnings=[], keep=1)
    assert not published_path(tmp_path).exists()


def test_a_copy_that_lost_rows_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(build(tmp_path, 1), tmp_path, run_id="r", warnings=[], keep=1)
    copy = module._copy

    def losing(made: Path, scratch: Path, data: Path, **given: object) -> object:
        tables, as_of = copy(made, scratch, data, **given)  # type: ignore[arg-type]
        return {**tables, "marts.m": tables["marts.m"] + 1}, as_of

    monkeypatch.setattr(module, "_copy", losing)
    with pytest.raises(PublishError, match=r"marts\.m: 2 rows were built"):
        publish(build(tmp_path, 2), tmp_path, run_id="r", warnings=[], keep=1)
    assert cost_of(published_path(tmp_path)) == 1


def test_a_left_slot_is_cleared_but_not_used_at_once(tmp_path: Path) -> None:
    """An orphaned dbt may still write into the slot of a killed run."""
    first, left = take_slot(tmp_path)
    assert left == []
    first.touch()
    second, left = take_slot(tmp_path)
    assert (left, second.parent != first.parent, first.exists()) == (["a"], True, False)
    shutil.rmtree(second.parent)
    assert take_slot(tmp_path)[0] == first


# Publishes COST from the build, and kills itself before or after the named function.
PUBLISH = """
import os, signal, sys
from pathlib import Path
from pipelines import publish as module
from tests.nightly.test_publish import build

data, moment, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def deadly(function):
    def call(*args, **kwargs):
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    return call

if name == "replace":
    Path.replace = deadly(Path.replace)
elif name:
    setattr(module, name, deadly(getattr(module, name)))
made = build(data, int(os.environ["COST"]))
module.publish(made, data, run_id="r", warnings=[], keep=2)
"""


@pytest.mark.parametrize("name", [*FUNCTIONS, "replace"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_step_the_published_file_is_whole_and_the_next_publishes(
    tmp_path: Path, moment: str, name: str
) -> None:
    when = datetime(2026, 3, 21, 3, tzinfo=UTC)
    publish(build(tmp_path, 1), tmp_path, run_id="r", warnings=[], keep=2, now=when)
    killed = subprocess.run(
        [sys.executable, "-c", PUBLISH, str(tmp_path), moment, name],
        cwd=ROOT,
        check=False,
        env={**os.environ, "COST": "2"},
    )
    assert killed.returncode == -signal.SIGKILL
    swapped = name == "_prune" or (name == "replace" and moment == "after")
    assert cost_of(published_path(tmp_path)) == (2 if swapped else 1)
    publish(build(tmp_path, 3), tmp_path, run_id="r", warnings=[], keep=2)
    assert cost_of(published_path(tmp_path)) == 3
    folder = published_path(tmp_path).parent
    kept = kept_files(tmp_path)
    assert [cost_of(path) for path in kept] == ([1, 2] if swapped else [1])
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["build", "firstvisit.duckdb", *(path.name for path in kept)]
    )
