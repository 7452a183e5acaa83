"""One source tried on one file: `python -m connectors.<kind> FILE`.

Prints counts and the names of columns, reasons and notes; never a value of the file, so that its output
can be pasted into a question. Phones and e-mails are hashed under a key thrown away at the end.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connectors.check import check
from connectors.contract import Connector, ReadLog, SourceOptions, Stream
from connectors.errors import ConnectorError
from connectors.files import InboxFile
from connectors.privacy import Privacy


def main(connector: Connector[Any], arguments: list[str] | None = None) -> None:
    """Read the file named on the command line and exit: 0 read, 1 refused, 2 wrong arguments."""
    parser = argparse.ArgumentParser(
        prog=f"python -m connectors.{connector.kind}", description=connector.title
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--stream", help="stream of the file, needed when the source has several")
    parser.add_argument("--timezone", default="UTC", help="the clinic's IANA time zone")
    parser.add_argument("--currency", default="EUR", help="the clinic's currency")
    parser.add_argument("--region", default="HR", help="the clinic's country, for phone numbers")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="options",
        help="an option of the source as in clinic.yaml; VALUE is JSON, else text",
    )
    given = parser.parse_args(arguments)
    try:
        source = _options(connector, given)
    except (ValidationError, ValueError) as error:
        parser.error(str(error))
    streams = {stream.name: stream for stream in connector.streams(source)}
    name = given.stream or next(iter(streams))
    if name not in streams or (given.stream is None and len(streams) > 1):
        parser.error(f"--stream: one of {', '.join(streams)}")
    try:
        lines = report(connector, InboxFile(given.file), streams[name], source, given.region)
    except (ConnectorError, OSError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    print("\n".join(lines))


def report(
    connector: Connector[Any], file: InboxFile, stream: Stream, source: SourceOptions, region: str
) -> list[str]:
    """Read and check a file; lines that say what it holds. Raises ConnectorError when it is refused."""
    log = ReadLog()
    privacy = Privacy(secrets.token_bytes(32), region)
    read = landed = 0
    filled: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    rows = connector.read(file, stream, source, log)
    for checked in check(rows, stream, privacy, log, arrived_at=file.arrived_at):
        read += checked.rows_read
        landed += checked.batch.num_rows
        for column in stream.columns:
            values = checked.batch.column(column.name)
            filled[column.name] += len(values) - values.null_count
        refused.update(f"{q.column}: {q.reason}" for q in checked.quarantined)
    lines = [f"{read} rows read, {landed} fit to land, {read - landed} quarantined"]
    lines += [f"  quarantined {count}: {reason}" for reason, count in refused.most_common()]
    lines += [f"  skipped {count}: {why}" for why, count in sorted(log.skipped.items())]
    if log.unknown_columns:
        lines.append(f"  columns not read: {', '.join(sorted(log.unknown_columns))}")
    if log.covers is not None:
        lines.append(f"  covers {log.covers[0]} to {log.covers[1]}")
    totals = log.control_totals.items()
    lines += [f"  total {label}, {measure}: {total}" for (label, measure), total in totals]
    lines += [f"  note: {note}" for note in log.notes]
    lines += [f"  {name}: {filled[name]}" for name in filled]
    return lines


def _options(connector: Connector[Any], given: argparse.Namespace) -> SourceOptions:
    block: dict[str, Any] = {}
    for option in given.options:
        key, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"--set {option}: write KEY=VALUE")
        try:
            block[key] = json.loads(value)
        except json.JSONDecodeError:
            block[key] = value
    return connector.options.model_validate(
        {
            "account": None,
            **block,
            "kind": connector.kind,
            "name": connector.kind,
            "clinic_timezone": given.timezone,
            "clinic_currency": given.currency,
            "clinic_phone_region": given.region,
        }
    )
