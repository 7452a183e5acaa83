"""What can go wrong while reading a source, told apart by what the caller should do."""

from __future__ import annotations


class ConnectorError(Exception):
    """A source could not be read. The message is one line: file or path, place, remedy."""


class FileRefused(ConnectorError):
    """The whole file is unusable; it stays in the inbox and is tried again once it changes."""


class RowRefused(ConnectorError):
    """One row is unusable and goes to quarantine.

    `column` names the landed column at fault, or "" when the row as a whole is.
    `reason` is fit to be stored: it never quotes a personal value.
    """

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}" if column else reason)
        self.column = column
        self.reason = reason
