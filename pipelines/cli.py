"""The command line: `firstvisit`.

What Dagster and dbt bring takes seconds to import, so each command imports what it needs.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from pipelines.config import Clinic
    from pipelines.run import Backfill

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_LOCKED = 75  # EX_TEMPFAIL of sysexits.h: try again later
EXIT_BUG = 70  # EX_SOFTWARE
EXIT_INTERRUPTED = 130
_DEMO_MARK = ".firstvisit-demo"
_QUERY_ROWS = 100
_PLAIN_WIDTH = 140

app = typer.Typer(
    name="firstvisit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Where each new patient came from, what that patient cost and what that patient is worth.\n\n"
        "Start with [bold]firstvisit demo[/bold]: an artificial clinic through the whole pipeline. Then:\n\n"
        "  firstvisit init                      write a commented clinic.yaml\n\n"
        "  firstvisit check                     is everything in place?\n\n"
        "  firstvisit run                       land, build, test, publish\n\n"
        "  firstvisit backfill --since …        read days again from the APIs\n\n"
        '  firstvisit query "from cost_per_patient"\n\n'
        "  firstvisit ui                        lineage, schedule and history in the browser\n\n"
        "Another clinic beside it: firstvisit --config b/clinic.yaml --data-dir b/data run"
    ),
)


@dataclass
class _Place:
    config: Path
    data_dir: Path


class Format(StrEnum):
    """How `query` prints."""

    table = "table"
    csv = "csv"
    json = "json"


@app.callback()
def place(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option(envvar="FIRSTVISIT_CONFIG", help="The clinic's configuration.", dir_okay=False)
    ] = Path("clinic.yaml"),
    data_dir: Annotated[
        Path,
        typer.Option(
            envvar="FIRSTVISIT_DATA_DIR", help="Where inbox, landing zone and warehouse lie.", file_okay=False
        ),
    ] = Path("data"),
) -> None:
    """Which clinic the commands are about."""
    # Absolute at once: what the commands call may change the working directory.
    context.obj = _Place(config.resolve(), data_dir.resolve())


@app.command()
def demo(
    context: typer.Context,
    scale: Annotated[
        float, typer.Option(help="Size of the clinic; 1 has some 2,500 new patients.", min=0.01, max=100)
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal clinics.")] = 1,
) -> None:
    """An artificial clinic through the whole pipeline, in DATA_DIR/demo.

    Writes 18 months of vendor exports, lands, builds, tests and publishes them, and prints the three
    headline tables. Each call starts anew.

    Example:  firstvisit demo --scale 0.2
    """
    from pipelines import dbt
    from pipelines.config import load_clinic
    from pipelines.progress import display
    from simulator import simulate
    from simulator.config import CLINIC_YAML

    console = _console()
    folder = _place(context).data_dir / "demo"
    _clear_demo(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # First, so that an interrupted demo is still known as one.
    (folder / _DEMO_MARK).touch()
    config = folder / "clinic.yaml"
    config.write_text(CLINIC_YAML, encoding="utf-8")
    with display(console) as listener, ThreadPoolExecutor(max_workers=1) as beside:
        listener.stage("simulating", f"18 months of an artificial clinic, seed {seed}, scale {scale:g}")
        # dbt reads its project in a process of its own, which a second processor can do meanwhile.
        parsed = beside.submit(dbt.prepare_manifest, load_clinic(config, folder / "data"))
        made = simulate(folder, seed=seed, scale=scale)
        listener.finished("exports of an artificial clinic")
        parsed.result()
    _run(load_clinic(made.config, made.data_dir), console, wait=0)


@app.command()
def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented clinic.yaml to start from, and the folders for your exports.

    Example:  firstvisit --config clinic.yaml init
    """
    from pipelines.config import load_clinic
    from pipelines.inbox import places

    where = _place(context)
    if where.config.exists() and not force:
        raise _Stop(f"{where.config}: exists already; edit it, or overwrite it with --force")
    template = Path(__file__).resolve().parents[1] / "clinic.example.yaml"
    where.config.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, where.config)
    clinic = load_clinic(where.config, where.data_dir)
    console = _console()
    console.print(Text(f"{where.config} written. Next:"))
    console.print(Text("  1. edit it: your clinic's name, zone and currency, and the sources you have"))
    console.print(Text("  2. put your exports into:"))
    for _, _, folder in places(clinic):
        folder.mkdir(parents=True, exist_ok=True)
        console.print(Text(f"       {folder}/", style="cyan"), soft_wrap=True)
    console.print(Text("  3. firstvisit check, then firstvisit run"))


@app.command()
def check(context: typer.Context) -> None:
    """Is everything in place? Configuration, reference tables, inbox, APIs, dbt project, disk.

    Tries each source's credentials with one small request. Changes nothing. Exits with 1 when something
    would stop or spoil a run.
    """
    from pipelines.doctor import examine

    where = _place(context)
    console = _console()
    well = True
    for finding in examine(where.config, where.data_dir):
        mark, style = {
            "ok": ("✓", "green"),
            "note": ("·", "dim"),
            "warn": ("!", "yellow"),
            "bad": ("✗", "red"),
        }[finding.grade]
        console.print(Text.assemble((f"{mark} ", style), finding.text), soft_wrap=True)
        well = well and finding.grade != "bad"
    if not well:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def run(
    context: typer.Context,
    wait: Annotated[
        float, typer.Option(help="Wait so many seconds for a run that is going on.", min=0)
    ] = 0.0,
) -> None:
    """Land what is new, rebuild and test the warehouse, publish it.

    The same job as the nightly schedule, in this process. Exits with 0 when everything went well, with 1
    when something failed (named at the end; what could be published was), with 75 when another run is
    going on.

    Example, in cron:  0 3 * * *  firstvisit --config /srv/clinic.yaml --data-dir /srv/data run
    """
    clinic = _clinic(context)
    _run(clinic, _console(), wait=wait)


@app.command()
def backfill(
    context: typer.Context,
    since: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day to read again.")],
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day, included; yesterday when left out."),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Only this source; give it several times for several.")
    ] = None,
    wait: Annotated[
        float, typer.Option(help="Wait so many seconds for a run that is going on.", min=0)
    ] = 0.0,
) -> None:
    """Read a range of days again from the APIs, then rebuild and publish as `run` does.

    What the vendor has no more in these days is then gone here too; days that cannot be read keep what they
    had. A source that is read from its inbox needs no backfill: drop the export there.

    Example:  firstvisit backfill --since 2026-09-01 --until 2026-09-30 --source google_ads
    """
    from pipelines.run import Backfill

    clinic = _clinic(context)
    present = datetime.now(clinic.timezone).date()
    last = until.date() if until is not None else present - timedelta(days=1)
    asked = Backfill(since.date(), last, tuple(source or ()))
    if asked.since > asked.until:
        raise _Stop(f"--since {asked.since} lies after --until {asked.until}; give the earlier day first")
    if asked.since >= present:
        raise _Stop(f"--since {asked.since} is not over yet; a backfill reads days that are")
    _check_sources(clinic, asked.sources)
    _run(clinic, _console(), wait=wait, backfill=asked)


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="A query in DuckDB's SQL; `from cost_per_patient` is one.")],
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    limit: Annotated[int, typer.Option(help="Rows shown in a table; 0 shows all.", min=0)] = _QUERY_ROWS,
) -> None:
    """Query the published warehouse, read-only. Schemas marts, journeys, conformed and ops need no prefix.

    Examples:
      firstvisit query "from cost_per_patient where channel = 'paid_search' order by month"

      firstvisit query "select doctor, clv_365d_shrunk from clv_by_first_doctor where cohort = 'all'"

      firstvisit query "describe patient_journeys"

      firstvisit query --format csv "from marts.coverage" > coverage.csv

    """
    import duckdb

    from pipelines.publish import SCHEMAS, published_path

    path = published_path(_place(context).data_dir)
    if not path.exists():
        raise _Stop(f"{path}: nothing is published yet; `firstvisit run` publishes")
    try:
        with duckdb.connect(str(path), read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            con.execute(f"set search_path = '{','.join(SCHEMAS)}'")
            con.execute("set enable_external_access = false")
            result = con.execute(sql)
            columns = [column[0] for column in result.description or []]
            rows = result.fetchall()
    except duckdb.Error as error:
        raise _Stop(" ".join(str(error).split())) from None
    _print_rows(columns, rows, format_, limit)


@app.command()
def quarantine(
    context: typer.Context,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Each row, not only the reasons.")] = False,
    limit: Annotated[int, typer.Option(help="Lines shown.", min=1)] = _QUERY_ROWS,
) -> None:
    """Rows that were not landed, by file and reason; no personal data is among them.

    Mend the export or the mapping and run again: the file is read anew.

    Example:  firstvisit quarantine --source mis --rows
    """
    from pipelines.doctor import quarantined
    from pipelines.summary import render

    found = quarantined(_place(context).data_dir, source=source, each_row=rows)
    console = _console()
    if not found.rows:
        console.print("Nothing is quarantined.")
        return
    console.print(render(found.columns, found.rows[:limit]))
    if len(found.rows) > limit:
        console.print(Text(f"… and {len(found.rows) - limit} more; --limit shows them", style="dim"))


@app.command()
def ui(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 3000,
) -> None:
    """Lineage, runs, checks and schedule in the browser, on this machine only.

    Runs the nightly schedule (03:00 in the clinic's zone) and the inbox sensor as long as it is open.
    Without a clinic.yaml it shows the demo.
    """
    from pipelines.ui import serve

    clinic = _clinic_or_demo(context)
    console = _console()
    console.print(Text("starting …", style="dim"))

    def say(address: str) -> None:
        console.print(Text.assemble((address, "bold cyan"), "  open it in a browser; Ctrl-C stops"))
        console.print(Text(f"  lineage: {address}/asset-groups", style="dim"))

    serve(clinic, port, say)


class _Stop(Exception):
    """A command cannot go on. The message is one line."""


def main() -> None:
    """The entry point: every foreseen error is one line on stderr and an exit code."""
    try:
        app()
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last place that can say what happened
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Say what went wrong; the exit code."""
    from connectors.errors import ConnectorError
    from pipelines.config import ConfigError
    from pipelines.lock import DataLocked

    known: tuple[type[Exception], ...] = (_Stop, ConfigError, ConnectorError, DataLocked)
    # Only commands that imported these can raise them, and importing them takes seconds.
    for module, name in (("dbt", "DbtError"), ("ui", "UiError"), ("publish", "PublishError")):
        if (loaded := sys.modules.get(f"pipelines.{module}")) is not None:
            known += (getattr(loaded, name),)
    if isinstance(error, known):
        _complain(str(error))
        if isinstance(error, DataLocked):
            return EXIT_LOCKED
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
    if isinstance(error, OSError) and error.filename is not None:
        _complain(f"{error.filename}: {error.strerror}")
        return EXIT_FAILED
    report = _report(error)
    _complain(f"{type(error).__name__}: {' '.join(str(error).split())[:500]} (a bug; details in {report})")
    return EXIT_BUG


def _report(error: Exception) -> Path:
    """Write the traceback of an unforeseen error where it can be found."""
    import tempfile

    stamp = datetime.now(tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    # mkstemp, so that nobody else can read it: what failed may stand in the message.
    descriptor, name = tempfile.mkstemp(prefix=f"firstvisit-error-{stamp}-", suffix=".log")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.writelines(traceback.format_exception(error))
    return Path(name)


def _complain(text: str) -> None:
    console = Console(stderr=True, file=sys.stderr)
    for line in text.splitlines():
        console.print(Text.assemble(("firstvisit: ", "bold red"), line), soft_wrap=True, highlight=False)


def _console() -> Console:
    # The file is given, because a run sends everything else that is printed into its log.
    # A pipe or a log has no width; tables that wrap at 80 are hard to read there.
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


def _place(context: typer.Context) -> _Place:
    found = context.obj
    assert isinstance(found, _Place)
    return found


def _clinic(context: typer.Context) -> Clinic:
    from pipelines.config import load_clinic

    where = _place(context)
    return load_clinic(where.config, where.data_dir)


def _clinic_or_demo(context: typer.Context) -> Clinic:
    """The clinic; where there is no configuration yet, the demo."""
    from pipelines.config import load_clinic

    where = _place(context)
    demo_dir = where.data_dir / "demo"
    if not where.config.exists() and (demo_dir / _DEMO_MARK).exists():
        return load_clinic(demo_dir / "clinic.yaml", demo_dir / "data")
    return load_clinic(where.config, where.data_dir)


def _check_sources(clinic: Clinic, names: Sequence[str]) -> None:
    """Raise _Stop for a name that is no source read from an API, and when there is none at all."""
    reading = [one.name for one in clinic.api_sources()]
    for name in names:
        if name not in clinic.sources:
            raise _Stop(
                f"--source {name}: no such source; clinic.yaml has {', '.join(clinic.sources) or 'none'}"
            )
        if name not in reading:
            raise _Stop(
                f"--source {name}: is read from its inbox; give it credentials, or drop the export into "
                f"inbox/{name}/"
            )
    if not reading:
        raise _Stop("no source is read from an API; drop exports into the inbox, then `firstvisit run`")


def _run(clinic: Clinic, console: Console, *, wait: float, backfill: Backfill | None = None) -> None:
    """Run the job and close with its summary. Exits unless everything went well."""
    from pipelines.run import run_nightly
    from pipelines.summary import print_summary

    outcome = run_nightly(clinic, console, wait=wait, backfill=backfill)
    if outcome.interrupted:
        what = "after it had published" if outcome.published else "nothing was published"
        _complain(f"interrupted; {what}, and the next run starts as if this one had not been")
        raise typer.Exit(EXIT_INTERRUPTED)
    print_summary(console, clinic, outcome)
    if outcome.wrong or not outcome.published:
        raise typer.Exit(EXIT_FAILED)


def _clear_demo(folder: Path) -> None:
    """Remove an earlier demo, and nothing that is not one."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / _DEMO_MARK).exists():
        raise _Stop(f"{folder}: is not empty and no earlier demo; move it away or give another --data-dir")
    shutil.rmtree(folder)


def _print_rows(columns: list[str], rows: list[tuple[Any, ...]], format_: Format, limit: int) -> None:
    if format_ is Format.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
    elif format_ is Format.json:
        for row in rows:
            sys.stdout.write(
                json.dumps(dict(zip(columns, row, strict=True)), default=str, ensure_ascii=False) + "\n"
            )
    else:
        from pipelines.summary import render

        console = _console()
        console.print(render(columns, rows[: limit or None]))
        more = f" of {len(rows):,}; --limit 0 shows all" if limit and len(rows) > limit else ""
        console.print(Text(f"{min(len(rows), limit or len(rows)):,} rows{more}", style="dim"))


if __name__ == "__main__":
    main()
