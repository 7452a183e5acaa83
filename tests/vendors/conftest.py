"""The fixtures of the vendors' tests."""

from __future__ import annotations

from tests.vendors.loopback import pauses

__all__ = ["pauses"]
