"""Which kinds of source exist: one module `connectors/<kind>.py` each, found by name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

import connectors
from connectors.contract import Connector

# Modules of the contract itself; every other module of the package is a kind.
_PLUMBING = frozenset(
    {"check", "cli", "conformed", "contract", "errors", "files", "privacy", "registry", "web"}
)


@cache
def kinds() -> tuple[str, ...]:
    """The names of all kinds, sorted."""
    names = (module.name for module in pkgutil.iter_modules(connectors.__path__))
    return tuple(sorted(name for name in names if name not in _PLUMBING and not name.startswith("_")))


@cache
def connector(kind: str) -> Connector[Any]:
    """The connector of a kind. Raises KeyError for a kind that does not exist."""
    if kind not in kinds():
        raise KeyError(kind)
    found: Connector[Any] = importlib.import_module(f"connectors.{kind}").CONNECTOR
    return found
