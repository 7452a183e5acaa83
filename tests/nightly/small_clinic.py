"""A clinic small enough to reckon by hand, independent of the simulator, and how to run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

HASH_KEY = "a key for the tests of the nightly job"
CONFIG = """\
clinic:
  name: Northgate ENT
  timezone: Europe/Zagreb
  currency: EUR
  phone_region: HR
  own_numbers: ["+38515550100"]
  history_margin_days: 0
publish: {keep: 2}
sources:
  marketing: {kind: cost_sheet}
  mis:
    kind: mapped_file
    datetime_format: "%Y-%m-%d %H:%M"
    streams:
      calls:
        columns: {call_id: id, called_at: at, phone: from, talk_s: seconds, is_answered: answered,
                  utm_source: source, utm_medium: medium, utm_campaign: campaign}
      visits:
        columns: {visit_id: visit, patient_id: card, phone: phone, booked_at: booked, visited_at: at,
                  doctor: doctor, branch: branch, status: status, paid: paid}
        values: {status: {done: completed, missed: no_show}}
"""
COSTS = """\
channel,source,campaign,starts_on,ends_on,amount,currency
paid_search,google,ENT search,2026-03-01,2026-03-31,310.00,EUR
"""
# Three callers: Ana and Iva become patients, the third does not.
CALLS = """\
id,at,from,seconds,answered,source,medium,campaign
c1,2026-03-02 09:00,+385911000001,120,true,google,cpc,ENT search
c2,2026-03-03 10:00,+385911000002,95,true,google,cpc,ENT search
c3,2026-03-04 11:00,+385911000003,,false,,,
"""
VISITS_HEADER = "visit,card,phone,booked,at,doctor,branch,status,paid\n"
VISITS = (
    VISITS_HEADER
    + """\
v1,ana,+385911000001,2026-03-02 09:02,2026-03-05 12:00,dr. Horvat,Centar,done,100.00
v2,iva,+385911000002,2026-03-03 10:03,2026-03-06 12:00,dr. Horvat,Centar,done,60.00
v3,ana,+385911000001,2026-03-10 09:00,2026-03-20 12:00,dr. Horvat,Centar,done,40.00
"""
)


@dataclass(frozen=True)
class Finished:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class SmallClinic:
    """The small clinic in a folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """Its clinic.yaml."""
        return self.folder / "clinic.yaml"

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / "data"

    @property
    def published(self) -> Path:
        """The file that analysts open."""
        return self.data / "warehouse" / "firstvisit.duckdb"

    def write(self) -> None:
        """Write the configuration and the first exports."""
        self.config.write_text(CONFIG, encoding="utf-8")
        self.drop("marketing/other_costs/costs.csv", COSTS)
        self.drop("mis/calls/march.csv", CALLS)
        self.drop("mis/visits/march.csv", VISITS)

    def drop(self, name: str, text: str) -> Path:
        """Put an export into the inbox."""
        path = self.data / "inbox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def command(self, *arguments: str) -> list[str]:
        """The command line of `firstvisit` for this clinic."""
        return [
            sys.executable,
            "-m",
            "pipelines.cli",
            "--config",
            str(self.config),
            "--data-dir",
            str(self.data),
            *arguments,
        ]

    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        return {**os.environ, "FIRSTVISIT_HASH_KEY": HASH_KEY, "NO_COLOR": "1", "COLUMNS": "140"}

    def firstvisit(self, *arguments: str, timeout: float = 600) -> Finished:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and go on."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill_when(self, reached: Callable[[], bool], *, timeout: float = 300) -> None:
        """Start a run and kill it, with SIGKILL, as soon as it got somewhere."""
        process = self.start("run")
        try:
            wait_for(lambda: reached() or process.poll() is not None, timeout)
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a fresh connection to the published file answers."""
        with duckdb.connect(str(self.published), read_only=True) as con:
            return con.execute(sql).fetchall()

    def contents(self) -> dict[str, list[str]]:
        """Every row of what is published, order aside; `ops` tells of the run and is left out."""
        found = {}
        with duckdb.connect(str(self.published), read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            for schema, table in con.execute(
                "select schema_name, table_name from duckdb_tables() where schema_name <> 'ops'"
            ).fetchall():
                rows = con.execute(f'select cast(t as varchar) from "{schema}"."{table}" as t').fetchall()
                found[f"{schema}.{table}"] = sorted(row for (row,) in rows)
        return found


def wait_for(reached: Callable[[], bool], timeout: float, *, every: float = 0.005) -> None:
    """Wait until something is so. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not reached within {timeout} s")
        time.sleep(every)
