"""What each night published for closed months, and which of those figures changed since.

    ops/figures/<night>.parquet     the figures that are new or differ from the night before, append-only

The one state beside the landing zone: everything else is rebuilt each night. A month is closed when the
latest completed visit lies in a later one. Figures that grow by themselves (to date, patients who come again)
are left out; N-day figures count from the night on which their days are over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from pipelines import durable, quote

# Mart -> additive measures that are final once their month is over; shown per channel where the mart has one.
# What comes of a month's contacts (call backs, bookings, new patients) grows after it and is not here.
FIGURES: Mapping[str, tuple[str, ...]] = {
    "cost_per_call": (
        "cost",
        "impressions",
        "clicks",
        "sessions",
        "calls",
        "unique_calls",
        "first_time_calls",
        "answered_calls",
        "missed_calls",
        "target_calls",
    ),
    "cost_per_patient": ("new_patients", "revenue_first_visit", "revenue_90d", "revenue_365d"),
    "monthly_summary": ("cost", "calls", "contacts", "bookings", "arrivals", "new_patients", "revenue"),
    "acquisition_funnel": ("records", "dialogs", "valid", "contacts_left"),
    "site_traffic": ("pageviews", "bounces"),
    "missed_contacts": ("first_contacts", "missed"),
    "operator_performance": ("contacts", "spam", "irrelevant", "wage"),
    "doctor_performance": ("visits", "revenue", "shift_hours", "ratings"),
    "revenue_structure": ("billed",),
}
_COLUMNS = (
    ("mart", "varchar", "Mart that shows the figure."),
    ("month", "date", "First day of the closed month."),
    ("channel", "varchar", "Channel; empty for a figure of the whole clinic."),
    ("measure", "varchar", "Column of the mart, added up over the month and channel."),
    ("before", "decimal(28, 6)", "What the night before published."),
    ("after", "decimal(28, 6)", "What this night published."),
    ("night", "timestamptz", "The publication that changed it, UTC."),
)

_NO_FIGURES = (
    "select null::varchar as mart, null::date as month, null::varchar as channel, "
    "null::varchar as measure, null::decimal(28, 6) as value, null::timestamptz as night, "
    "null::decimal(28, 6) as before where false"
)


def write_restatements(
    con: duckdb.DuckDBPyConnection, data_dir: Path, when: datetime, tables: Collection[str]
) -> None:
    """Make `fresh.ops.restatements` of the attached publication `fresh`, and the temp table `new_figures`.

    `fresh` holds the `tables` (schema.name) of this night; `new_figures` is what `remember` adds to the
    history once it is published.
    """
    con.execute(f"create temp table figures as {_current(con, tables)}")
    con.execute(f"create temp table history as {_history(data_dir)}")
    con.execute(
        """
        create temp table new_figures as
        with latest as (
            from history qualify row_number() over (
                partition by mart, month, channel, measure order by night desc
            ) = 1
        ),
        known as (select distinct mart, month, measure from history)
        select
            coalesce(figures.mart, latest.mart) as mart,
            coalesce(figures.month, latest.month) as month,
            coalesce(figures.channel, latest.channel) as channel,
            coalesce(figures.measure, latest.measure) as measure,
            coalesce(figures.value, 0) as value,
            cast(? as timestamptz) as night,
            -- a channel that a published month did not have stood at zero in it
            coalesce(latest.value, case when known.mart is not null then 0 end) as before
        from figures
        full join latest using (mart, month, channel, measure)
        left join known
            on figures.mart = known.mart and figures.month = known.month and figures.measure = known.measure
        where
            coalesce(figures.value, 0)
            is distinct from coalesce(latest.value, case when known.mart is not null then 0 end)
        """,
        [when.isoformat()],
    )
    declared = ", ".join(f"{quote.name(name)} {type_}" for name, type_, _ in _COLUMNS)
    con.execute(f"create table fresh.ops.restatements ({declared})")
    con.execute(
        """
        insert into fresh.ops.restatements
        select mart, month, channel, measure, before, value, night
        from (from history union all by name from new_figures)
        where before is not null
        order by night desc, mart, month, channel, measure
        """
    )
    con.execute(
        "comment on table fresh.ops.restatements is 'Figures of closed months that a later night published "
        "otherwise. One row per mart, month, channel, measure and night; to-date figures are left out.'"
    )
    for name, _, about in _COLUMNS:
        con.execute(f"comment on column fresh.ops.restatements.{quote.name(name)} is {quote.text(about)}")


def export_figures(con: duckdb.DuckDBPyConnection, target: Path) -> None:
    """Write `new_figures` where `remember` finds them."""
    con.execute(f"copy new_figures to {quote.text(target)} (format parquet)")


def remember(data_dir: Path, exported: Path, when: datetime) -> None:
    """Add the exported figures to the history: the publication that they are of is in place."""
    folder = data_dir / "ops" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{when:%Y%m%dT%H%M%S%fZ}.parquet"
    durable.sync(exported)
    exported.replace(target)
    durable.sync(folder)


def _history(data_dir: Path) -> str:
    files = sorted((data_dir / "ops" / "figures").glob("*.parquet"))
    if files:
        listed = ", ".join(map(quote.text, files))
        return f"from read_parquet([{listed}], hive_partitioning = false)"
    return _NO_FIGURES


def _current(con: duckdb.DuckDBPyConnection, tables: Collection[str]) -> str:
    """The figures of this night's closed months: mart, month, channel, measure, value."""
    parts = [f"select mart, month, channel, measure, value from ({_NO_FIGURES})"]
    for mart, measures in FIGURES.items():
        if f"marts.{mart}" not in tables:
            continue
        columns = {name for name, *_ in con.execute(f"describe fresh.marts.{mart}").fetchall()}
        channel = "channel" if "channel" in columns else "''"
        month = "month" if "month" in columns else "cast(date_trunc('month', day) as date)"
        closed = f"{month} < (select date_trunc('month', max(as_of)) from fresh.conformed.as_of)"
        sums = ", ".join(f"cast(sum({m}) as decimal(28, 6)) as {m}" for m in measures)
        parts.append(
            f"select {quote.text(mart)} as mart, month, channel, measure, value from ("
            f"unpivot (select {month} as month, {channel} as channel, {sums} from fresh.marts.{mart} "
            f"where {closed} group by all) "
            f"on {', '.join(measures)} into name measure value value)"
        )
    return " union all ".join(parts)
