"""Breaks the rules of identity, journeys and attribution one by one, and looks whether a unit test notices.

python -m tests.mutations [words]     only the mutations whose rule or file has one of the words

Each mutation of tests/mutations.yml changes one text of the dbt project, in a copy, and runs dbt's unit tests
of the models that it touches, over an empty warehouse. One that no test notices survives: its rule lacks a
test. Exits with 1 when one survives, can no longer be applied, or does not even run.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml
from dbt.cli.main import dbtRunner

from connectors._mapped_tables import TABLES
from connectors.privacy import Privacy
from pipelines import dbt
from pipelines.config import Clinic, load_clinic
from pipelines.landing import Landing

# Of the project only what mutations touch and what that needs: marts would be parsed for nothing.
_LEFT_OUT = ("target", "logs", "marts", "exports")
_WRONG_ROWS = "fail"


@dataclass(frozen=True)
class Mutation:
    """One text of the project in place of another. `models`: whose unit tests are to notice."""

    rule: str
    file: str
    old: str
    new: str
    models: tuple[str, ...] = ()

    @property
    def tested(self) -> tuple[str, ...]:
        """The models whose tests are run: the file's own unless said otherwise."""
        return self.models or (Path(self.file).stem,)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutation: the unit tests that noticed, or what kept it from running."""

    noticed_by: Sequence[str]
    trouble: str
    seconds: float

    @property
    def survived(self) -> bool:
        """Whether it ran and nothing noticed."""
        return not self.noticed_by and not self.trouble

    def __str__(self) -> str:
        if self.survived:
            return "SURVIVES"
        if self.trouble:
            return self.trouble
        more = len(self.noticed_by) - 1
        return f"noticed by {self.noticed_by[0]}" + (f" and {more} more" if more else "")


class Bench:
    """A copy of the dbt project beside an empty warehouse that has its relations."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._project = folder / "dbt_project"
        shutil.copytree(dbt.PROJECT_DIR, self._project, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        for test in (self._project / "tests").glob("*.*"):
            test.unlink()
        self._clinic = _clinic(folder)
        os.environ |= dbt.environment(folder / "firstvisit.duckdb", folder / "target")
        os.environ |= {"DBT_PROJECT_DIR": str(self._project), "DBT_PROFILES_DIR": str(self._project)}
        self._target = folder / "target"
        for command in (["seed"], ["run", "--empty"]):
            done = self._dbt(*command)
            if not done.success:
                raise RuntimeError(f"dbt {' '.join(command)} failed over an empty clinic: {done.exception}")

    def notice(self, models: Sequence[str]) -> tuple[list[str], list[str]]:
        """(unit tests whose rows are wrong, what is wrong otherwise) of the models' unit tests."""
        done = self._dbt("test", "--select", *(f"{model},test_type:unit" for model in models))
        if done.result is None:
            return [], [" ".join(str(done.exception).split())]
        results = json.loads((self._target / "run_results.json").read_text(encoding="utf-8"))["results"]
        results = [result for result in results if result["unique_id"].startswith("unit_test.")]
        wrong, trouble = [], []
        for result in results:
            name = result["unique_id"].rpartition(".")[2]
            if result["status"] == _WRONG_ROWS:
                wrong.append(name)
            elif result["status"] != "pass":
                trouble.append(f"{name}: {' '.join(str(result['message']).split())}")
        return wrong, trouble or ([] if results else [f"{', '.join(models)}: no unit test"])

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """The project with the mutation in it. Raises ValueError when its text is not there exactly once."""
        path = self._project / mutation.file
        before = path.read_text(encoding="utf-8")
        path.write_text(applied(mutation, before), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")

    def _dbt(self, *command: str) -> Any:
        return dbtRunner().invoke(
            [*command, "--quiet", "--vars", dbt.variables(self._clinic), "--log-level", "none"]
        )


def applied(mutation: Mutation, text: str) -> str:
    """The text with the mutation in it. Raises ValueError when what it replaces is not there exactly once."""
    if (times := text.count(mutation.old)) != 1:
        raise ValueError(f"{mutation.file} has {times} times: {mutation.old.strip()}")
    return text.replace(mutation.old, mutation.new)


def judge(bench: Bench, mutation: Mutation) -> Outcome:
    """Apply a mutation, run the tests, and take it back."""
    started = time.monotonic()
    try:
        with bench.mutated(mutation):
            wrong, trouble = bench.notice(mutation.tested)
    except ValueError as error:
        wrong, trouble = [], [str(error)]
    return Outcome(wrong, "; ".join(trouble)[:400], time.monotonic() - started)


def _clinic(folder: Path) -> Clinic:
    """A clinic whose one source maps every table whole."""
    streams = {
        name: {"columns": {key: key for key in table.columns if key != "birth_date"}}
        for name, table in TABLES.items()
    }
    config = folder / "clinic.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "clinic": {
                    "name": "Bench",
                    "timezone": "Europe/Zagreb",
                    "currency": "EUR",
                    "phone_region": "HR",
                },
                "sources": {"files": {"kind": "mapped_file", "streams": streams}},
            }
        ),
        encoding="utf-8",
    )
    clinic = load_clinic(config, folder / "data")
    Landing(clinic, Privacy(b"k" * 32, "HR")).prepare()
    return clinic


def mutations() -> list[Mutation]:
    """The list of tests/mutations.yml."""
    listed = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    return [
        Mutation(one["breaks"], group["file"], one["old"], one["new"], tuple(group.get("models", ())))
        for group in listed
        for one in group["mutations"]
    ]


_bench: Bench


def _open_bench(folder: Path) -> None:
    """Make this process's bench."""
    global _bench
    _bench = Bench(folder / str(os.getpid()))


def _judged(mutation: Mutation) -> Outcome:
    return judge(_bench, mutation)


def _noticed_without(models: Sequence[str]) -> list[str]:
    wrong, trouble = _bench.notice(models)
    return [*wrong, *trouble]


def main() -> None:
    """Judge the mutations and print what became of them."""
    words = [word.casefold() for word in sys.argv[1:]]
    chosen = [m for m in mutations() if not words or any(w in f"{m.rule} {m.file}".casefold() for w in words)]
    models = sorted({model for mutation in chosen for model in mutation.tested})
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="firstvisit-mutations-") as folder,
        ProcessPoolExecutor(
            min(os.cpu_count() or 1, 4),
            mp_context=get_context("spawn"),
            initializer=_open_bench,
            initargs=(Path(folder),),
        ) as workers,
    ):
        if already := workers.submit(_noticed_without, models).result():
            sys.exit(f"without any mutation: {'; '.join(already)}")
        print(f"{len(chosen)} mutations; ready after {time.monotonic() - started:.0f} s", flush=True)
        outcomes = []
        for mutation, outcome in zip(chosen, workers.map(_judged, chosen), strict=True):
            outcomes.append(outcome)
            print(f"{outcome.seconds:5.1f} s  {mutation.rule}: {outcome}", flush=True)
    survivors = sum(outcome.survived for outcome in outcomes)
    stuck = sum(bool(outcome.trouble) for outcome in outcomes)
    print(
        f"{len(outcomes)} mutations in {time.monotonic() - started:.0f} s: "
        f"{len(outcomes) - survivors - stuck} noticed, {survivors} survive, {stuck} did not run"
    )
    sys.exit(1 if survivors or stuck else 0)


if __name__ == "__main__":
    main()
