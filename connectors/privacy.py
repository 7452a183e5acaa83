"""Pseudonyms: personal values become keyed hashes before anything is written.

HMAC-SHA-256 (RFC 2104) under the clinic's own key, cut to 128 bits, as 32 hexadecimal digits. A plain
hash of a phone number is no protection: all numbers of a country can be tried in minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from functools import lru_cache
from pathlib import Path

import phonenumbers

from connectors.errors import ConnectorError

KEY_VARIABLE = "FIRSTVISIT_HASH_KEY"
_MINIMUM_KEY_BYTES = 16

_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+")
# "+7 916 123-45-67; 8 495 …", "… или …", "…, моб. …": separators between numbers in one cell.
_BETWEEN_PHONES = re.compile(r"[;,\n|]| или | or | ili ")
# A slash divides two whole numbers, or an area code from its number ("091/234-5678", "01/5550-100").
_WHOLE_NUMBER_DIGITS = 8
# "(мама)", "(доб. 12)".
_NOTE = re.compile(r"\([^()]*[^\W\d_][^()]*\)")
# A bare x or # within the digits is a mask ("0912345x67"); an extension stands apart.
_EXTENSION = re.compile(
    r"(?<=\d)(?:\s*,?\s*(?:доб|вн|ext(?:ension)?|kl|lok)\.?|\s+[x#])\s*\d{1,6}\s*$", re.IGNORECASE
)
# A word that is not a run of x: a label before the number ("тел. моб.") or a name after it is no mask.
_WORD = r"(?![xXхХ]+(?:[\W\d_]|$))[^\W\d_]+"
_LABEL = re.compile(rf"^(?:\s*{_WORD}[.:]*)+\s*(?=[+\d(])")
_NAME = re.compile(rf"(?<=\d)(?:[\s,]+{_WORD}\.?)+\s*$")
_MASKED = re.compile(r"[*xхX#•?_]|[^\W\d_]")
RUINED_NUMBER = re.compile(r"^\s*\d+(?:[.,]\d+)?E\+?\d+\s*$", re.IGNORECASE)


class Privacy:
    """Turns phones, e-mails and (where asked for) record numbers into keyed hashes.

    `region` is the ISO 3166 country in which a number without a country code is read.
    """

    def __init__(self, key: bytes, region: str, *, hash_record_ids: bool = False) -> None:
        if len(key) < _MINIMUM_KEY_BYTES:
            raise ConnectorError(f"{KEY_VARIABLE}: the key must have at least {_MINIMUM_KEY_BYTES} bytes")
        self._key = key
        self.region = region
        self.hash_record_ids = hash_record_ids
        # Callers repeat; parsing a number costs some 40 µs, a look-up 0.1 µs.
        self.phone_key = lru_cache(maxsize=1 << 19)(self._phone_key)
        self.email_key = lru_cache(maxsize=1 << 16)(self._email_key)

    def _digest(self, purpose: str, value: str) -> str:
        return hmac.new(self._key, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()[:32]

    def e164(self, raw: str) -> str | None:
        """The number in E.164, None when it is withheld, masked, ruined or no phone number."""
        return to_e164(raw, self.region)

    def _phone_key(self, raw: str) -> str | None:
        number = self.e164(raw)
        return None if number is None else self._digest("phone", number)

    def _email_key(self, raw: str) -> str | None:
        match = _EMAIL.search(raw)
        return None if match is None else self._digest("email", match.group().lower().strip("."))

    def visitor_id(self, raw: str) -> str:
        """A browser's or account's id that is somebody's e-mail or phone, hashed as it stands."""
        return self._digest("visitor", raw.lower())

    def record_id(self, raw: str) -> str:
        """A record number, hashed only when `privacy.hash_record_ids` is set."""
        return self._digest("record", raw) if self.hash_record_ids else raw


def split_phones(raw: str) -> list[str]:
    """The single numbers of a cell that may hold several."""
    parts: list[str] = []
    for part in _BETWEEN_PHONES.split(raw):
        halves = part.split("/")
        whole = all(sum(map(str.isdigit, half)) >= _WHOLE_NUMBER_DIGITS for half in halves)
        parts.extend(halves if whole else [part])
    return [part for part in parts if part.strip()]


def to_e164(raw: str, region: str) -> str | None:
    """Read a number as written in exports (`8 (916)…`, `7916…`, `+385…`, `091…`) into E.164.

    Digits without a plus are read in `region` first; when that gives no valid number, as an
    international number without its plus (Calltouch writes `7495…`). None when neither is possible.
    """
    text = _EXTENSION.sub("", _NOTE.sub("", raw).strip())
    if not any(character.isdigit() for character in text) or RUINED_NUMBER.match(text):
        return None
    text = _NAME.sub("", _LABEL.sub("", text))
    if _MASKED.search(text):
        return None
    digits = "".join(character for character in text if character.isdigit())
    if len(digits) < 6:
        return None
    attempts: list[tuple[str, str | None]] = [(text, region)]
    if not text.startswith("+") and len(digits) >= 10:
        attempts.append((f"+{digits}", None))
    possible = None
    for candidate, where in attempts:
        try:
            number = phonenumbers.parse(candidate, where)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if possible is None and phonenumbers.is_possible_number(number):
            possible = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return possible


def load_key(data_dir: Path) -> bytes:
    """The clinic's hash key: from the environment, else `<data>/secret/hash.key`, created once (0600).

    Losing the key means that new calls no longer meet old patients, so it belongs into the backup of
    secrets. Raises ConnectorError when the file is readable by others or damaged.
    """
    if given := os.environ.get(KEY_VARIABLE):
        return given.encode()
    path = data_dir / "secret" / "hash.key"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
            stream.flush()
            os.fsync(stream.fileno())
    if path.stat().st_mode & 0o077:
        raise ConnectorError(f"{path}: others can read the hash key; run: chmod 600 {path}")
    key = path.read_text().strip().encode()
    if len(key) < _MINIMUM_KEY_BYTES:
        raise ConnectorError(f"{path}: damaged hash key; restore it from your backup of secrets")
    return key
