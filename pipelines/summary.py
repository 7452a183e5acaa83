"""What a run says at its end: what landed, what was quarantined, the headline figures, where files are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.publish import published_path

if TYPE_CHECKING:
    from pipelines.config import Clinic
    from pipelines.run import Outcome

_REASONS_SHOWN = 10
_ROWS_SHOWN = 10

# The month shown is the last one that was over at as_of: a month that goes on has costs before patients.
_MONTH = """
    select coalesce(
        max(month) filter (where month < date_trunc('month', (select as_of from conformed.as_of))), max(month)
    ) as month
    from marts.{mart}
    where {measures} > 0
"""
_COST_PER_CALL = """
    select
        channel,
        sum(cost) as cost,
        sum(calls) as calls,
        sum(first_time_calls) as first_time_calls,
        sum(target_calls) as target_calls,
        round(sum(cost) / nullif(sum(calls), 0), 2) as cost_per_call,
        round(sum(cost) / nullif(sum(first_time_calls), 0), 2) as cost_per_first_time_call
    from marts.cost_per_call
    where month = $month
    group by channel
    having sum(cost) <> 0 or sum(calls) > 0
    order by cost desc, calls desc, channel
"""
_COST_PER_PATIENT = """
    select
        channel,
        sum(cost) as cost,
        round(sum(new_patients), 1) as new_patients,
        round(sum(cost) / nullif(sum(new_patients), 0), 2) as cost_per_patient,
        sum(revenue_to_date) as revenue_to_date,
        round(sum(revenue_to_date) / nullif(sum(cost), 0), 2) as roas_to_date
    from marts.cost_per_patient
    where month = $month
    group by channel
    having sum(cost) <> 0 or sum(new_patients) > 0
    order by cost desc, new_patients desc, channel
"""
_CLV = """
    select doctor, branch, new_patients, repeat_rate, clv_to_date_avg, clv_365d_avg, clv_365d_shrunk
    from marts.clv_by_first_doctor
    where cohort = 'all'
    order by clv_365d_shrunk desc nulls last, new_patients desc, doctor, branch
"""


@dataclass(frozen=True)
class Headline:
    """One headline table: its title, column names and rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def headlines(published: Path, currency: str) -> list[Headline]:
    """The three headline tables from a published file: two of the last full month, CLV over everything."""
    found = []
    with duckdb.connect(str(published), read_only=True) as con:
        for mart, query, measures in (
            ("cost_per_call", _COST_PER_CALL, "calls"),
            ("cost_per_patient", _COST_PER_PATIENT, "new_patients"),
        ):
            row = con.execute(_MONTH.format(mart=mart, measures=measures)).fetchone()
            month: date | None = row[0] if row is not None else None
            result = con.execute(query, {"month": month})
            title = f"{mart}: {month:%B %Y}, by channel, {currency}" if month else f"{mart}: no rows yet"
            found.append(Headline(title, [d[0] for d in result.description], result.fetchall()))
        result = con.execute(_CLV)
        rows = result.fetchall()
        title = (
            f"clv_by_first_doctor: all cohorts, {currency}" if rows else "clv_by_first_doctor: no rows yet"
        )
        found.append(Headline(title, [d[0] for d in result.description], rows))
    return found


def shown(value: object) -> str:
    """A value as the tables of the terminal show it: thousands separated, NULL as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, Decimal)):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return str(value)


def render(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> Table:
    """Rows as a table, numbers to the right."""
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False
    )
    for position, name in enumerate(columns):
        numeric = any(
            isinstance(row[position], (int, float, Decimal)) and not isinstance(row[position], bool)
            for row in rows
        )
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(value)) for value in row))
    return table


def command_of(clinic: Clinic) -> str:
    """How to call `firstvisit` for this clinic from here: without options where the defaults find it."""
    here = Path.cwd()
    if (clinic.config_path, clinic.data_dir) == (here / "clinic.yaml", here / "data"):
        return "firstvisit"
    config, data_dir = (
        path.relative_to(here) if path.is_relative_to(here) else path
        for path in (clinic.config_path, clinic.data_dir)
    )
    return f"firstvisit --config {config} --data-dir {data_dir}"


def print_headlines(console: Console, published: Path, currency: str) -> None:
    """The three headline tables."""
    for headline in headlines(published, currency):
        if not headline.rows:
            console.print(Text(headline.title, style="bold"))
            continue
        rows = headline.rows[:_ROWS_SHOWN]
        console.print(render(headline.columns, rows, headline.title))
        if len(headline.rows) > len(rows):
            console.print(Text(f"… and {len(headline.rows) - len(rows)} more", style="dim"))
        console.print()


def print_summary(console: Console, clinic: Clinic, outcome: Outcome) -> None:
    """The closing summary of a run."""
    console.print()
    _print_landed(console, outcome)
    _print_quarantined(console, outcome)
    published = published_path(clinic.data_dir)
    if outcome.published:
        print_headlines(console, published, clinic.clinic.currency)
    _print_verdict(console, clinic, outcome, published)


def _print_landed(console: Console, outcome: Outcome) -> None:
    fresh = [landed for landed in outcome.landed if landed.files]
    if not fresh:
        console.print(Text("Landed: nothing new in the inbox, the APIs or the reference tables.\n"))
        return
    rows = [
        (
            one.stream,
            one.files,
            one.rows["landed"],
            one.rows["duplicate"],
            one.rows["quarantined"],
            one.rows["skipped"],
            one.live,
        )
        for one in fresh
    ]
    columns = ("stream", "loads", "landed", "duplicate", "quarantined", "skipped lines", "live rows")
    console.print(render(columns, rows, "Landed"))
    console.print()


def _print_quarantined(console: Console, outcome: Outcome) -> None:
    reasons: Counter[tuple[str, str]] = Counter()
    for one in outcome.landed:
        for reason, count in one.reasons.items():
            reasons[(one.stream, reason)] += count
    if not reasons:
        return
    rows = [(stream, reason, count) for (stream, reason), count in reasons.most_common(_REASONS_SHOWN)]
    console.print(render(("stream", "reason", "rows"), rows, "Quarantined"))
    if len(reasons) > len(rows):
        console.print(Text(f"… and {len(reasons) - len(rows)} more reasons", style="dim"))
    console.print(Text("`firstvisit quarantine` lists the rows.\n", style="dim"))


def _print_verdict(console: Console, clinic: Clinic, outcome: Outcome, published: Path) -> None:
    for line in outcome.wrong:
        console.print(Text(f"✗ {line}", style="red"), soft_wrap=True)
    if outcome.published:
        verdict = "Published, but not everything went well (above)." if outcome.wrong else "Published."
        console.print(Text(verdict, style="bold yellow" if outcome.wrong else "bold green"))
        console.print(Text(f"  {published}", style="cyan"), soft_wrap=True)
        command = command_of(clinic)
        console.print(
            Text(f'  {command} query "from cost_per_patient" reads it, as does any DuckDB client'),
            soft_wrap=True,
        )
        console.print(Text(f"  {command} ui shows the lineage in the browser"), soft_wrap=True)
    else:
        console.print(
            Text("Nothing was published; the file published before stays as it was.", style="bold red")
        )
    console.print(Text(f"  log: {outcome.log}", style="dim"), soft_wrap=True)
