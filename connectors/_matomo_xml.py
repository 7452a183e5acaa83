"""Matomo's XML: visits one by one while the document is parsed, whatever its size.

The standard library's parser, fed in pieces: it resolves no external entities, and a document type
declaration, which Matomo never writes and every entity trick needs, is refused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import ParseError, XMLParser

from connectors.errors import FileRefused
from connectors.files import InboxFile

_CHUNK = 1 << 16


class _Refused(Exception):
    """What the XML holds is not what Matomo writes."""


class _Target:
    """Gathers visits while a document is parsed; `visits` is emptied by the caller.

    `<result><row>` is a visit, `<actionDetails><row>` within it an action. Several days or sites are several
    `<result>` within `<results>`. What lies deeper (items of orders, plugins) is passed over.
    """

    def __init__(self, wanted: frozenset[str]) -> None:
        self.visits: list[dict[str, Any]] = []
        self._wanted = wanted
        self._path: list[str] = []
        self._text: list[str] = []
        self._visit: dict[str, Any] | None = None
        self._base = 0
        self._action: dict[str, str] | None = None

    def doctype(self, _name: str, _pubid: str | None, _system: str | None) -> None:
        raise _Refused("has a document type declaration")

    def start(self, tag: str, _attributes: Mapping[str, str]) -> None:
        if not self._path and tag not in ("result", "results"):
            raise _Refused("is no answer of Matomo")
        if tag == "error" and self._visit is None:
            raise _Refused("is an error answer of Matomo")
        if tag == "row" and self._visit is None and self._path[-1:] == ["result"]:
            self._visit, self._base = {}, len(self._path) + 1
        elif self._visit is not None:
            depth = len(self._path) - self._base
            if tag == "actionDetails" and depth == 0:
                self._visit["actionDetails"] = []
            elif tag == "row" and depth == 1 and self._path[-1] == "actionDetails":
                self._action = {}
        self._path.append(tag)
        self._text.clear()

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, tag: str) -> None:
        self._path.pop()
        if self._visit is None:
            return
        depth = len(self._path) - self._base
        if depth == -1:
            self.visits.append(self._visit)
            self._visit = None
        elif depth == 0 and tag != "actionDetails":
            self._visit[tag] = "".join(self._text) if tag in self._wanted else None
        elif self._action is not None and depth == 2 and tag in ("type", "url"):
            self._action[tag] = "".join(self._text)
        elif self._action is not None and depth == 1:
            self._visit["actionDetails"].append(self._action)
            self._action = None
        self._text.clear()

    def close(self) -> None:
        """Nothing is left to do at the document's end."""


def visits(file: InboxFile, wanted: frozenset[str], remedy: str) -> Iterator[dict[str, Any]]:
    """Yield visits as {name: text}, with the values of `wanted` names and the names of all others.

    `actionDetails` is the list of actions, each with its type and url. Raises FileRefused, whose message
    ends with `remedy`, for a document of another kind, and for one that is cut short.
    """
    target = _Target(wanted)
    parser = XMLParser(target=target)  # noqa: S314 - a document that could declare an entity is refused
    try:
        with file.open_binary() as stream:
            while chunk := stream.read(_CHUNK):
                parser.feed(chunk)
                yield from target.visits
                target.visits.clear()
        parser.close()
    except _Refused as error:
        raise FileRefused(f"{file.name}: {error}; {remedy}") from None
    except ParseError as error:
        line = error.position[0]
        raise FileRefused(
            f"{file.name}: not whole XML (line {line}); the file is cut short or damaged, save it again"
        ) from None
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise FileRefused(
            f"{file.name}: cannot be unpacked ({type(error).__name__}); copy it here again"
        ) from error
    yield from target.visits
