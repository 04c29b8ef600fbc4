"""Every PartitionKey and RowKey, and the codecs of what they hold.

Table keys may not hold `/ \\ # ?` nor control characters, and hold 512 UTF-16 units at the most. UIDs and partition names
are safe as they are; searched values go through `escape`.

The rows of one study share a partition. Capital letters are the *head* of the study, which sorts before its instances:
one query `RowKey lt 'i'` reads what a writer needs to know, and a read of the whole study sees its change sets first.
"""

from __future__ import annotations

import hashlib

SEPARATOR = "|"

_STUDY = "S"
HEAD_END = "i"
_SERIES = "E"
_CHANGE_SET = "C"
_FENCE = "F"
_OUTBOX = "X"
_INSTANCE = "i"
_ALL = "!"
SERIES_LOOKUPS = "E"
_DIGITS_OF_A_DAY = 5
_DIGITS_OF_AN_INSTANCE = 2

_LATEST_MICROSECOND = 10**16 - 1
_LONGEST_VALUE = 400
_FORBIDDEN = frozenset('/\\#?%~|"') | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}


def study_partition(partition: str, study: str) -> str:
    """The PartitionKey of all rows of a study."""
    return f"{partition}{SEPARATOR}{study}"


def parse_study_partition(key: str) -> tuple[str, str]:
    """The partition name and the StudyInstanceUID of a study's PartitionKey."""
    partition, study = key.split(SEPARATOR)
    return partition, study


def study_row(study: str) -> str:
    """The row of a study. The UID is for the emulator, which looks for a RowKey among those of all partitions first."""
    return _STUDY + study


def series_row(series: str) -> str:
    return _SERIES + series


def change_set_row(cover: int) -> str:
    """The row of the change set that covers all instances up to version `cover`."""
    return f"{_CHANGE_SET}{cover:020d}"


def fence_row(request: str) -> str:
    """The row with which upkeep keeps a request that it has given up from committing to the study."""
    return _FENCE + request


def outbox_row(name: str) -> str:
    """The row that says what is still to be done after a commit."""
    return _OUTBOX + name


def instance_row(series: str, sop_instance: str) -> str:
    return f"{_INSTANCE}{series}{SEPARATOR}{sop_instance}"


def parse_instance_row(key: str) -> tuple[str, str]:
    """The SeriesInstanceUID and the SOPInstanceUID of an instance's RowKey."""
    series, sop_instance = key.removeprefix(_INSTANCE).split(SEPARATOR)
    return series, sop_instance


def row_kind(key: str) -> str:
    """The first letter of a RowKey in a study's partition: S, E, C, F, X or i."""
    return key[0]


def series_of(key: str) -> str:
    """The SeriesInstanceUID of a series' RowKey."""
    return key.removeprefix(_SERIES)


def fenced_request(key: str) -> str:
    """The request id of a fence's RowKey."""
    return key.removeprefix(_FENCE)


def rows_of_series(series: str) -> tuple[str, str]:
    """The RowKey range [first, end) of the instances of a series."""
    prefix = f"{_INSTANCE}{series}{SEPARATOR}"
    return prefix, after(prefix)


def after(prefix: str) -> str:
    """A key that is greater than all keys that begin with `prefix`. Keys are in the order of their UTF-16 units."""
    following = {"\ud7ff": "\U00010000", "\U0010ffff": "\ue000"}
    if prefix.endswith("\uffff"):
        return after(prefix[:-1])
    return prefix[:-1] + (following.get(prefix[-1]) or chr(ord(prefix[-1]) + 1))


def newest_first(microseconds: int) -> str:
    """A fixed-width text that sorts later times before earlier ones; `microseconds` since 1970."""
    return f"{_LATEST_MICROSECOND - microseconds:016d}"


def microseconds_of(text: str) -> int:
    """The inverse of `newest_first`."""
    return _LATEST_MICROSECOND - int(text)


def escape(value: str) -> str:
    """`value` with every character that a key cannot hold replaced by `~` and hexadecimal digits.

    Injective up to 400 UTF-16 units; a longer text keeps its beginning and ends in a digest. A prefix of `value` gives a
    prefix of the result.
    """
    text = "".join(f"~{ord(character):04x}" if character in _FORBIDDEN else character for character in value)
    units = text.encode("utf-16-le")
    if len(units) <= 2 * _LONGEST_VALUE:
        return text
    beginning = units[: 2 * _LONGEST_VALUE].decode("utf-16-le", "ignore")
    return f"{beginning}~~{hashlib.sha256(value.encode()).hexdigest()[:32]}"


def value_partition(partition: str, value: str) -> str:
    """The PartitionKey under which a lookup table lists whatever has exactly this (folded) value."""
    return f"{partition}{SEPARATOR}={escape(value)}"


def instance_partition(partition: str, sop_instance: str) -> str:
    """The PartitionKey under which a lookup table lists an instance by its SOPInstanceUID.

    The instances of a series often differ in the last digits alone: so one transaction lists many of them.
    """
    return value_partition(partition, sop_instance[:-_DIGITS_OF_AN_INSTANCE])


def word_partition(partition: str, word: str) -> str:
    """The PartitionKey under which a lookup table lists whatever has a name with this (folded) word."""
    return f"{partition}{SEPARATOR}~{escape(word)}"


def all_partition(partition: str, created: int) -> str:
    """The PartitionKey under which a lookup table lists all that was created on about one day.

    The keys of later days sort before those of earlier ones.
    """
    return all_partitions(partition) + newest_first(created)[:_DIGITS_OF_A_DAY]


def all_partitions(partition: str) -> str:
    """What the keys of `all_partition` begin with, and no other key of a lookup table."""
    return f"{partition}{SEPARATOR}{_ALL}"


def is_all_partition(key: str) -> bool:
    """Whether a lookup table lists all that was created on a day under this PartitionKey."""
    return key.split(SEPARATOR)[1].startswith(_ALL)


def lookup_row(created: int, identifiers: tuple[str, ...]) -> str:
    """The RowKey of a lookup row: newest first, then the UIDs from the study downwards.

    The rows of series stand behind those of studies: they begin with `SERIES_LOOKUPS`.
    """
    row = SEPARATOR.join((newest_first(created), *identifiers))
    return SERIES_LOOKUPS + row if len(identifiers) == 2 else row


def parse_lookup_row(key: str) -> tuple[int, tuple[str, ...]]:
    """The time of creation and the UIDs of a lookup row."""
    created, *identifiers = key.removeprefix(SERIES_LOOKUPS).split(SEPARATOR)
    return microseconds_of(created), tuple(identifiers)


def study_of_lookup(partition_key: str, row_key: str) -> str:
    """The study's PartitionKey that the keys of a lookup row name."""
    _, (study, *_) = parse_lookup_row(row_key)
    return study_partition(partition_key.split(SEPARATOR)[0], study)


def blob_name(request: str, number: int) -> str:
    """The name of the `number`-th file of a request; the hash spreads requests over the container's key range."""
    return f"{request_prefix(request)}{number:06d}.dcm"


def request_prefix(request: str) -> str:
    """What the names of all blobs of a request begin with."""
    return f"{hashlib.sha256(request.encode()).hexdigest()[:3]}/{request}/"


def request_of_blob(name: str) -> str:
    """The request id in a blob's name."""
    return name.split("/")[1] if "/" in name else ""


def request_time(request: str) -> int:
    """When a request began, from its id: microseconds since 1970."""
    return int(request[:14], 16)
