"""Reading a vendor file in a test, through the connector and the checker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.check import Quarantined, check
from connectors.contract import Block, Connector, ReadLog, Record, Row, SourceOptions
from connectors.files import InboxFile
from connectors.privacy import Privacy

CHECKED_AT = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass
class Read:
    """What came of a file: rows as the connector gave them, rows as they land, the rest."""

    raw: list[Row]
    landed: list[dict[str, Any]]
    quarantined: list[Quarantined]
    log: ReadLog

    @property
    def reasons(self) -> list[str]:
        return [f"{q.column}: {q.reason}" for q in self.quarantined]


def options(connector: Connector[Any], **given: Any) -> SourceOptions:
    """The source's options as the configuration loader fills them in."""
    return connector.options.model_validate(
        {
            "kind": connector.kind,
            "name": connector.kind,
            "clinic_timezone": "Europe/Zagreb",
            "clinic_currency": "EUR",
            "clinic_phone_region": "HR",
            **given,
        }
    )


def read(connector: Connector[Any], path: Path, stream_name: str | None = None, **given: Any) -> Read:
    """Read and check one file. Raises FileRefused as the landing zone would see it."""
    source = options(connector, **given)
    streams = {stream.name: stream for stream in connector.streams(source)}
    stream = streams[stream_name] if stream_name else next(iter(streams.values()))
    log = ReadLog()
    raw: list[Row] = []

    def kept() -> Iterator[Record]:
        for record in connector.read(InboxFile(path), stream, source, log):
            raw.extend(record.rows() if isinstance(record, Block) else [record])
            yield record

    privacy = Privacy(b"a key for tests only", "HR")
    landed: list[dict[str, Any]] = []
    quarantined: list[Quarantined] = []
    for checked in check(kept(), stream, privacy, log, arrived_at=CHECKED_AT):
        landed += checked.batch.to_pylist()
        quarantined += checked.quarantined
    assert len(raw) == len(landed) + len(quarantined), "every row ends in exactly one place"
    return Read(raw, landed, quarantined, log)
