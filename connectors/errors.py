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


class ApiError(ConnectorError):
    """An API did not give what was asked of it; the days in question keep what they had."""


class TransientError(ApiError):
    """Busy, down or cut off: worth asking again, now or tomorrow.

    `wait` is how many seconds the vendor asked to wait, None when it did not say.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class IncompleteError(ApiError):
    """The answer is shorter than what the vendor announced: a part must not pass for the whole."""


class PermanentError(ApiError):
    """The request itself is wrong, so that asking again is of no use."""


class AuthError(PermanentError):
    """The token was refused: nothing more of this source can be read tonight."""
