"""Names and texts as DuckDB writes them."""

from __future__ import annotations


def name(value: str) -> str:
    """An identifier, quoted."""
    return '"' + value.replace('"', '""') + '"'


def text(value: object) -> str:
    """A text literal, quoted."""
    return "'" + str(value).replace("'", "''") + "'"
