"""Legs of calls made of an exchange's records, in blocks of columns.

What only the clinic knows (which channels are trunks, how long an extension is) decides the direction of a
leg and what it reached. No number lands but the clinic's own: names of channels lose their long runs of
digits, and no number goes into the leg's key, because a plain hash of one could be tried out.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute

from connectors._columns import by_value
from connectors._table import refuse, refuse_ruined
from connectors.contract import Block, ReadLog
from connectors.privacy import to_e164

# The stubs of its functions know neither scalars of Python nor what arrays give.
pc: Any = pyarrow.compute

DISPOSITIONS = ("ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION", "UNKNOWN")
# `1530369902.8942`, with `systemname-` in front where asterisk.conf sets one.
CHANNEL_ID = r"^(?:\S*-)?(?P<second>\d{10})\.\d+$"
# Years that Python's datetime has in any zone; others are typing mistakes.
MOMENT = r"^(?:19|20)\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?$"

# `PJSIP/1001-00000a2f;1`: technology and peer, instance, half of a Local channel.
_CHANNEL = r"^(?P<name>[^/]+/[^;]*?)(?:-(?P<instance>[0-9A-Fa-f]{1,12}))?(?P<half>;.*)?$"
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_SEPARATORS = re.compile(r"[\s().-]")
_VOICEMAIL_BOX = re.compile(r"vm[a-z]?\d+", re.IGNORECASE)
_FOLLOW_ME = re.compile(r"fm\w*-(\d+)", re.IGNORECASE)
# Channels of the exchange's own doing, at whose end nobody sits.
_WITHOUT_PEOPLE = "announcer bridge cbann cbrec confbridge message multicastrtp recorder snoop"
_NOBODY = frozenset(_WITHOUT_PEOPLE.split())
# An id tells the second of a channel's creation; a start further away than this is of another clock, s.
_TRUSTED = 26 * 3600
_SAME = 5
_QUARTER = 900

_TEXT = pa.string()
_SECONDS = pa.timestamp("s", tz="UTC")


class Exchange(Protocol):
    """The settings of a source that decide how its legs are read."""

    clinic_phone_region: str
    trunks: tuple[str, ...]
    machines: tuple[str, ...]
    inbound_contexts: tuple[str, ...]
    internal_contexts: tuple[str, ...]
    extension_digits: int
    dial_prefix: str
    recording_column: Any
    operators: dict[str, str]

    @property
    def zone(self) -> ZoneInfo:
        """The exchange's zone."""


def _fits(text: str, patterns: Sequence[str]) -> bool:
    folded = text.lower()
    return any(fnmatch.fnmatchcase(folded, pattern.lower()) for pattern in patterns)


class Legs:
    """Makes legs of the records of one file, and notes what tells that the exchange's zone is another."""

    def __init__(self, source: Exchange) -> None:
        self._source = source
        self._long = re.compile(rf"\+?\d{{{source.extension_digits + 1},}}")
        self._agreeing = 0
        self._shifted: Counter[int] = Counter()

    def block(self, given: Block) -> Block:
        """The legs of a block of records: text by the names of CDR columns, null where a cell is empty."""
        block = Block(given.numbers, dict(given.columns))
        record = _Record(block)
        self._refuse_ruined(block, record)
        disposition = _each(record["disposition"], _disposition)
        refuse(block, disposition.is_null(), "disposition", "is none of Asterisk's")
        counts = []
        for name in ("duration", "billsec"):
            is_whole = _mask(pc.match_substring_regex(record[name], r"^\d{1,9}$"))
            refuse(block, pa.array(~is_whole), f"{name}_s", "is not a whole number of seconds")
            counts.append(_whole(record[name], is_whole))
        duration, billsec = counts
        started = pc.coalesce(record["start"], record["calldate"])
        created, linked = (_epoch(record[name]) for name in ("uniqueid", "linkedid"))
        at, is_read = self._started_at(started, created)
        refuse(block, pa.array(~is_read), "started_at", "is not a time like 2024-03-09 10:30:00")
        self._compare(at, is_read, created)
        parties = _Parties(self._source, self._shown, record)
        is_answered = _mask(pc.equal(disposition, "ANSWERED"))
        columns = {
            "linkedid": record["linkedid"],
            "uniqueid": record["uniqueid"],
            "sequence": record["sequence"],
            "started_at": _times(at, is_read),
            "ended_at": _times(at + duration, is_read),
            "answered_at": _times(at + duration - billsec, is_read & is_answered),
            "created_at": _times(created, _are_near(created, at)),
            "linked_at": _times(linked, _are_near(linked, at)),
            "duration_s": pa.array(duration),
            "billsec_s": pa.array(billsec),
            "disposition": disposition,
            "application": record["lastapp"],
            "has_recording": record[self._source.recording_column].is_valid(),
            **parties.told(),
        }
        identity = (record["uniqueid"], started, *parties.identity, record["lastapp"], disposition)
        columns["leg_key"] = _keys(*identity, record["duration"], record["billsec"])
        return Block(block.numbers, columns, block.refused)

    def report(self, log: ReadLog) -> None:
        """Note a zone that the ids contradict, and directions told by numbers alone."""
        shifted = sum(self._shifted.values())
        if shifted > self._agreeing:
            hours = self._shifted.most_common(1)[0][0] * _QUARTER / 3600
            log.notes.append(
                f"`start` of {shifted} legs is {hours:+g} h from the second in uniqueid, which was taken; "
                f"set `timezone:` of the source to the exchange's (it is {self._source.zone.key})"
            )
        if not self._source.trunks:
            log.notes.append("`trunks` is not set: directions are told by contexts and numbers")

    def _shown(self, text: str) -> str:
        """The text with addresses and runs of more digits than an extension has blotted out."""
        return self._long.sub("…", _ADDRESS.sub("…", text))

    def _refuse_ruined(self, block: Block, record: _Record) -> None:
        cut = "is a whole number: a spreadsheet has cut it; export the table as CSV"
        for name in ("uniqueid", "linkedid"):
            if name in block.columns:
                refuse_ruined(block, name)
                # Asterisk's ids have a point; a sheet drops it with the zeros behind it.
                refuse(block, pc.match_substring_regex(record[name], r"^\d+$"), name, cut)
        for name in ("src", "dst"):
            ruined = pc.match_substring_regex(record[name], r"(?i)^\d+(?:[.,]\d+)?E\+?\d+$")
            refuse(
                block, ruined, "phone_key", "was ruined by a spreadsheet (1,23E+10); export the table as CSV"
            )

    def _started_at(self, texts: pa.Array[Any], created: Any) -> tuple[Any, Any]:
        """(epoch seconds, whether they could be read) of local times.

        In the hour that repeats in autumn, those of the pass in which the channel existed.
        """
        naive = _naive(texts)
        zone = self._source.zone.key
        first, second = (
            pc.assume_timezone(naive, zone, ambiguous=which, nonexistent="latest").cast(pa.int64())
            for which in ("earliest", "latest")
        )
        early, late = first.fill_null(0).to_numpy(), second.fill_null(0).to_numpy()
        return np.where((created > 0) & (early < created - _SAME), late, early), _mask(naive.is_valid())

    def _compare(self, at: Any, is_read: Any, created: Any) -> None:
        gaps = (at - created)[is_read & (created > 0)]
        quarters = np.rint(gaps / _QUARTER).astype(np.int64)
        is_same = np.abs(gaps) <= _SAME
        is_shifted = ~is_same & (np.abs(gaps - quarters * _QUARTER) <= _SAME) & (np.abs(gaps) <= _TRUSTED)
        self._agreeing += int(np.count_nonzero(is_same))
        self._shifted.update(quarters[is_shifted].tolist())


class _Record:
    """The columns of a block by the names of CDR columns; null throughout where the file lacks one."""

    def __init__(self, block: Block) -> None:
        self._columns = block.columns
        self._nothing = pa.nulls(len(block), _TEXT)

    def __getitem__(self, name: str) -> pa.Array[Any]:
        return self._columns.get(name, self._nothing)


class _Channels:
    """A column of channels taken apart; what is asked of technology and peer is decided once for each."""

    def __init__(self, values: pa.Array[Any]) -> None:
        parts = pc.extract_regex(values, _CHANNEL)
        # Arrow gives "" for a group that took no part.
        self.instance = pc.binary_join_element_wise(
            *(pc.struct_field(parts, n) for n in ("instance", "half")), ""
        )
        self.name = pc.struct_field(parts, "name").dictionary_encode()

    def are(self, decide: Callable[[str, str], bool]) -> Any:
        """Whether each channel is such, of technology (lower case) and peer; False where there is none."""
        return _mask(_taken(self.name, lambda name: decide(*_parts(name)), pa.bool_()))

    def texts(self, tell: Callable[[str], str | None]) -> pa.Array[Any]:
        """A text for each channel, of its name."""
        return _taken(self.name, tell, _TEXT)


class _Parties:
    """Who called whom, in columns."""

    def __init__(self, source: Exchange, shown: Callable[[str], str], record: _Record) -> None:
        self._source = source
        self._shown = shown
        self._record = record
        self._from, self._to = _Channels(record["channel"]), _Channels(record["dstchannel"])
        self._src = record["src"].dictionary_encode()
        dialled = record["dst"]
        if source.dial_prefix:
            dialled = _each(dialled, self._without_prefix)
        self._dst = dialled.dictionary_encode()
        self._context = record["dcontext"].dictionary_encode()
        self._is_local = self._from.are(lambda technology, _: technology == "local")
        self._to_trunk = self._to.are(self._is_trunk)
        self._dst_outside = self._are(self._dst, self._is_outside)
        self.identity = (
            self._from.texts(shown),
            self._from.instance,
            self._to.texts(shown),
            self._to.instance,
        )

    def told(self) -> dict[str, pa.Array[Any]]:
        """The landed columns of parties and channels."""
        direction = self._direction()
        is_in, is_out = direction == "inbound", direction == "outbound"
        src, dst = self._src.dictionary_decode(), self._dst.dictionary_decode()
        nothing = pa.scalar(None, _TEXT)
        channel, instance = self.identity[0], self.identity[1]
        return {
            "direction": pa.array(direction.tolist(), _TEXT),
            "reached": pa.array(self._reached().tolist(), _TEXT),
            "is_local": pa.array(self._is_local),
            "phone_key": pc.if_else(is_in, src, pc.if_else(is_out, dst, nothing)),
            "tracking_number": self._tracking_number(is_in),
            "agent": self._agent(is_out),
            "destination": _taken(self._dst, self._unless_number, _TEXT),
            "context": _taken(self._context, self._unless_number, _TEXT),
            "channel": channel,
            "destination_channel": self.identity[2],
            "channel_ref": pc.binary_join_element_wise(channel, instance, "-"),
        }

    def _are(self, values: pa.Array[Any], decide: Callable[[str], bool]) -> Any:
        return _mask(_taken(values, decide, pa.bool_()))

    def _unless_number(self, text: str) -> str | None:
        return text if self._shown(text) == text else None

    def _is_trunk(self, technology: str, peer: str) -> bool:
        return _fits(f"{technology}/{peer}", self._source.trunks)

    def _is_outside(self, number: str) -> bool:
        digits = _SEPARATORS.sub("", number)
        if digits.startswith("+"):
            return digits[1:].isdecimal()
        return digits.isdecimal() and len(digits) > self._source.extension_digits

    def _is_extension(self, text: str) -> bool:
        return text.isdecimal() and len(text) <= self._source.extension_digits

    def _without_prefix(self, number: str) -> str:
        return number.removeprefix(self._source.dial_prefix) if self._is_outside(number) else number

    def _direction(self) -> Any:
        source = self._source
        from_trunk = self._from.are(self._is_trunk)
        from_outside = self._are(self._context, lambda text: _fits(text, source.inbound_contexts))
        is_within = self._are(self._context, lambda text: _fits(text, source.internal_contexts))
        from_phone = ~self._is_local & self._from.are(lambda _, peer: self._is_extension(peer))
        src_outside = self._are(self._src, self._is_outside)
        src_extension = self._are(self._src, self._is_extension)
        has_number = self._are(self._src, lambda text: any(map(str.isdigit, text)))
        leaves = self._to_trunk | self._dst_outside
        leaving = np.where(leaves, "outbound", "internal")
        return np.select(
            [
                from_trunk | from_outside,
                # A leg of a call that another leg began: the caller is that one's.
                self._is_local & ~src_extension,
                # Whatever number the clinic's phone shows to the outside.
                self._is_local | from_phone,
                src_outside & is_within & leaves,
                src_outside,
                # Without a number it is withheld, unless the clinic's own phones call in that context.
                has_number | is_within,
            ],
            ["inbound", "inbound", leaving, "outbound", "inbound", leaving],
            "inbound",
        )

    def _reached(self) -> Any:
        # With a single record for the whole call, the phone that was rung before stands in dstchannel.
        application = _mask(pc.equal(pc.utf8_lower(self._record["lastapp"]), "voicemail"))
        box = self._are(self._dst, lambda text: _VOICEMAIL_BOX.fullmatch(text) is not None)
        machines = self._source.machines
        machine = self._to.are(lambda t, peer: t in _NOBODY or _fits(f"{t}/{peer}", machines))
        is_none = _mask(self._to.name.is_null())
        is_local = self._to.are(lambda technology, _: technology == "local")
        kinds = ["voicemail", "none", "machine", "local"]
        return np.select([application | box, is_none, machine, is_local], kinds, "device")

    def _tracking_number(self, is_in: Any) -> pa.Array[Any]:
        # A leg that was sent on through a trunk may show the number it was sent to.
        is_dialled = ~self._is_local & ~self._to_trunk & self._dst_outside
        dialled = pc.if_else(is_dialled, self._dst.dictionary_decode(), pa.scalar(None, _TEXT))
        number = pc.coalesce(self._record["did"], dialled)
        number = pc.if_else(is_in, number, pa.scalar(None, _TEXT))
        return _each(number, lambda text: to_e164(text, self._source.clinic_phone_region))

    def _agent(self, is_out: Any) -> pa.Array[Any]:
        rang = self._from.texts(self._name)
        # A phone that goes by a name, or a Local channel, may still show its extension.
        has_extension = self._from.are(lambda t, peer: self._is_extension(_extension(t, peer)))
        is_trunk = self._from.are(self._is_trunk) | _mask(self._from.name.is_null())
        shows = self._are(self._src, self._is_extension) & ~has_extension & ~is_trunk
        operators = self._source.operators
        src = _taken(self._src, lambda text: operators.get(text, text), _TEXT)
        agent: pa.Array[Any] = pc.if_else(is_out, pc.if_else(shows, src, rang), self._to.texts(self._name))
        return agent

    def _name(self, channel: str) -> str | None:
        """Whose a channel is: as clinic.yaml says, else extension or name; None of a trunk or a number."""
        technology, peer = _parts(channel)
        if self._is_trunk(technology, peer):
            return None
        peer = _extension(technology, peer)
        if not self._is_extension(peer) and (technology == "local" or self._shown(peer) != peer):
            return None
        return self._source.operators.get(peer, peer)


def _parts(name: str) -> tuple[str, str]:
    """(technology in lower case, peer)."""
    technology, _, peer = name.partition("/")
    return technology.lower(), peer


def _extension(technology: str, peer: str) -> str:
    """The extension behind a channel: `1002` of Local/1002@from-queue and of Local/FMGL-1002@…."""
    if technology != "local":
        return peer
    peer = peer.partition("@")[0]
    follow_me = _FOLLOW_ME.fullmatch(peer)
    return follow_me[1] if follow_me else peer


def _disposition(text: str) -> str | None:
    found = " ".join(text.upper().split())
    return found if found in DISPOSITIONS else None


# --- columns ---------------------------------------------------------------------------------------------


def _mask(values: pa.Array[Any]) -> Any:
    """Booleans as a numpy array, null as False."""
    return values.fill_null(False).to_numpy(zero_copy_only=False)


def _each(values: pa.Array[Any], cast: Callable[[str], str | None]) -> pa.Array[Any]:
    return by_value(values, cast, _TEXT)


def _taken(values: Any, tell: Callable[[str], Any], type_: pa.DataType) -> pa.Array[Any]:
    """What is told of each distinct text of a dictionary-encoded column."""
    known = pa.array([tell(text) for text in values.dictionary.to_pylist()], type_)
    taken: pa.Array[Any] = known.take(values.indices)
    return taken


def _whole(values: pa.Array[Any], is_whole: Any) -> Any:
    """Whole numbers, 0 where there is none."""
    return pc.if_else(is_whole, values, "0").fill_null("0").cast(pa.int64()).to_numpy()


def _epoch(ids: pa.Array[Any]) -> Any:
    """The seconds of channels' creation that ids tell, 0 where one tells none."""
    seconds = pc.struct_field(pc.extract_regex(ids, CHANNEL_ID), "second")
    return seconds.fill_null("0").cast(pa.int64()).to_numpy()


def _are_near(epochs: Any, at: Any) -> Any:
    return (epochs > 0) & (np.abs(at - epochs) <= _TRUSTED)


def _naive(texts: pa.Array[Any]) -> pa.Array[Any]:
    """Clock times to the second, null where a text is none."""
    shaped = pc.if_else(pc.match_substring_regex(texts, MOMENT), texts, pa.scalar(None, _TEXT))
    try:
        read: pa.Array[Any] = pc.utf8_slice_codeunits(shaped, 0, 19).cast(pa.timestamp("s"))
    except pa.ArrowInvalid:  # 30 February

        def one(text: str) -> datetime | None:
            try:
                return datetime.fromisoformat(text[:19])
            except ValueError:
                return None

        read = by_value(shaped, one, pa.timestamp("s"))
    return read


def _times(seconds: Any, are_told: Any) -> pa.Array[Any]:
    return pa.array(seconds, pa.int64(), mask=~are_told).cast(_SECONDS)


def _keys(*parts: pa.Array[Any]) -> pa.Array[Any]:
    told = pc.binary_join_element_wise(*parts, "\x1f", null_handling="replace", null_replacement="")
    return pa.array([hashlib.blake2b(text.encode(), digest_size=12).hexdigest() for text in told.to_pylist()])
