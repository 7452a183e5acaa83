"""Reading the export of an ad platform in a test: in blocks, and row by row, which must give the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.check import Quarantined, check
from connectors.contract import Block, Connector, ReadLog, Row
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.privacy import Privacy
from tests.unit.vendor_files import Read, options

CHECKED_AT = datetime(2030, 1, 1, tzinfo=UTC)


def read(connector: Connector[Any], path: Path, stream_name: str = "ad_spend", **given: Any) -> Read:
    """Read and check one file. Raises FileRefused as the landing zone would see it."""
    source = options(connector, **given)
    stream = next(stream for stream in connector.streams(source) if stream.name == stream_name)
    log = ReadLog()
    records = list(connector.read(InboxFile(path), stream, source, log))
    rows = list(_rows(records))
    privacy = Privacy(b"a key for tests only", "HR")
    outcomes: list[tuple[list[dict[str, Any]], list[Quarantined]]] = []
    for given_ in (records, rows):
        batches = list(check(given_, stream, privacy, log, arrived_at=CHECKED_AT))
        landed = [row for batch in batches for row in batch.batch.to_pylist()]
        outcomes.append((landed, [bad for batch in batches for bad in batch.quarantined]))
    assert outcomes[0] == outcomes[1], "blocks land as their rows do"
    landed, quarantined = outcomes[0]
    assert len(rows) == len(landed) + len(quarantined), "every row ends in exactly one place"
    return Read(rows, landed, quarantined, log)


def _rows(records: list[Row | Block]) -> Iterator[Row]:
    for record in records:
        if isinstance(record, Block):
            yield from record.rows()
        else:
            yield record


def refusal(connector: Connector[Any], path: Path, **given: Any) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(FileRefused) as caught:
        read(connector, path, **given)
    said = str(caught.value)
    assert said.startswith(f"{path.name}: ")
    assert "\n" not in said
    return said


def column(found: Read, name: str) -> list[Any]:
    """A landed column."""
    return [row[name] for row in found.landed]
