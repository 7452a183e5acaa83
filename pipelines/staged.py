"""Rows that were read and checked and wait to be merged: in memory while few, then in files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.loads import LoadRecord

# Rows of one load that are kept in memory before they go to a staging file of their own.
_KEPT_ROWS = 10_000


@dataclass
class Staged:
    """A load that was read and checked and waits to be merged."""

    record: LoadRecord
    # (version, arrival, name) as sortable text: which of two whole files is newer.
    rank: tuple[str, str, str]
    coverage: list[dict[str, Any]]
    quarantine: Path | None
    # The days that were asked of an API; None for a file.
    asked: tuple[date, date] | None = None


class Staging:
    """Files read tonight, waiting to be merged: small ones share one Parquet file, large ones have their own.

    A night of 500 daily exports would otherwise make and remove 500 files of a few kilobytes.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._small: pq.ParquetWriter | None = None
        self._paths: list[Path] = []

    @contextmanager
    def file(self, load_id: str) -> Iterator[StagedFile]:
        """Where one file's rows go; they count only when the block ends without an exception."""
        self._folder.mkdir(exist_ok=True)
        target = StagedFile(self._folder, load_id, self._schema)
        try:
            yield target
        finally:
            target.close()
        if target.path is not None:
            self._paths.append(target.path)
            return
        for batch in target.kept:
            if self._small is None:
                self._paths.append(self._folder / "small.parquet")
                self._small = pq.ParquetWriter(self._paths[-1], self._schema)
            self._small.write_batch(batch)

    def files(self) -> list[Path]:
        """The staged files, complete. At least one, so that a batch of empty exports merges too."""
        if self._small is not None:
            self._small.close()
            self._small = None
        if not self._paths:
            self._paths.append(self._folder / "empty.parquet")
            pq.write_table(self._schema.empty_table(), self._paths[-1])
        return self._paths


class StagedFile:
    """The rows of one file: kept in memory up to a batch, then on disk."""

    def __init__(self, folder: Path, load_id: str, schema: pa.Schema) -> None:
        self._stem = folder / load_id
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._refused: IO[str] | None = None
        self.kept: list[pa.RecordBatch] = []
        self.path: Path | None = None
        self.quarantine: Path | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Keep a batch of checked rows."""
        self.kept.append(batch)
        if self._writer is None and sum(kept.num_rows for kept in self.kept) > _KEPT_ROWS:
            self.path = self._stem.with_suffix(".parquet")
            self._writer = pq.ParquetWriter(self.path, self._schema)
        if self._writer is not None:
            for kept in self.kept:
                self._writer.write_batch(kept)
            self.kept.clear()

    def refuse(self, line: dict[str, Any]) -> None:
        """Keep a line for the quarantine."""
        if self._refused is None:
            self.quarantine = self._stem.with_suffix(".jsonl")
            self._refused = self.quarantine.open("w", encoding="utf-8")
        self._refused.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close what was opened on disk."""
        for opened in (self._writer, self._refused):
            if opened is not None:
                opened.close()
