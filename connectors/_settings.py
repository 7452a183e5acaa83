"""Settings of clinic.yaml that several kinds have: how a text file is written."""

from __future__ import annotations

import codecs
from typing import Annotated

from pydantic import AfterValidator

from connectors._cells import check_format


def _known_format(value: str) -> str:
    check_format(value)
    return value


def _known_encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError:
        raise ValueError(f"unknown encoding {value!r}; e.g. cp1251, utf-8, cp1250") from None
    return value


def _one_character(value: str) -> str:
    named = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ","}.get(value.lower(), value)
    if len(named) != 1:
        raise ValueError("write one character, or tab")
    return named


# A strptime format, tried on a date before anything is read.
DateFormat = Annotated[str, AfterValidator(_known_format)]
# A name that Python's codecs know.
Encoding = Annotated[str, AfterValidator(_known_encoding)]
# One character, or its name: tab, semicolon, comma.
Delimiter = Annotated[str, AfterValidator(_one_character)]
