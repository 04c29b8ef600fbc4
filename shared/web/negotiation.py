"""Content negotiation (RFC 9110 12.5.1, PS3.18 8.7.3, WADO-20 to WADO-36, D-3): what a client accepts of what there is.

The answer is a list of choices, best first. Which of them can be made depends on the transfer syntaxes in which the
instances are stored; `ranked` puts them in order when these are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.errors import NotAcceptable
from shared.web import media_types
from shared.web.representations import AS_STORED, DATA_SETS, DICOM_JSON, DICOM_XML, STORE_RESPONSE, Choice, Resource

_ANYTHING: Final = "*/*"
_QUALITY: Final = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")

type Accept = Sequence[str] | str | None


@dataclass(frozen=True, slots=True)
class _Range:
    """A member of Accept: a media range, inside multipart/related or not, with a quality from 0 to 1."""

    media_range: str
    multipart: bool | None
    """None: both, the range is */* itself."""
    transfer_syntax: str
    """"" when the client names none."""
    quality: float

    def covers(self, choice: Choice) -> bool:
        return (
            _is_within(choice.media_type, self.media_range)
            and self.multipart in (None, choice.multipart)
            and self.transfer_syntax in ("", choice.transfer_syntax)
        )

    @property
    def specificity(self) -> tuple[int, bool, bool]:
        return -self.media_range.count("*"), self.multipart is not None, bool(self.transfer_syntax)


def negotiate(accept: Accept, resource: Resource, query: Accept = None) -> list[Choice]:
    """The choices that the client accepts, in its order of preference: by quality, "as stored" before others (WADO-35).

    `accept` is the value of the Accept header, or its lines; `query` the values of the query parameter `accept`, which
    wins (CL-1). Without either, or when they are blank, anything is accepted (D-3).

    Raises NotAcceptable when the resource has nothing that the client accepts.
    """
    ranges = list(_ranges(_text(query) or _text(accept) or _ANYTHING))
    ranks: dict[Choice, tuple[float, bool]] = {}
    for accepted in (member for member in ranges if member.quality):
        for choice in _choices(accepted, resource):
            # RFC 9110 12.5.1: the most specific range decides about the quality, and 0 means "not acceptable".
            covering = (other for other in ranges if other is accepted or other.covers(choice))
            decisive = max(covering, key=lambda other: other.specificity)
            if decisive.quality:
                ranks.setdefault(choice, (-decisive.quality, accepted.transfer_syntax != AS_STORED))
    if not ranks:
        raise NotAcceptable("The request headers are not acceptable")
    return [replace(choice, quality=-ranks[choice][0]) for choice in sorted(ranks, key=ranks.__getitem__)]


def ranked(choices: Iterable[Choice], *stored: str) -> list[Choice]:
    """The choices in the client's order; of those that it likes equally, first what needs no transcoding.

    `stored` are the transfer syntaxes of the instances.
    """
    return sorted(choices, key=lambda choice: (-choice.quality, not all(map(choice.fits, stored))))


def json_media_type(accept: Accept, query: Accept = None) -> str:
    """The media type for metadata and search results (WADO-80, QIDO-9). Raises NotAcceptable as `negotiate` does."""
    return negotiate(accept, DATA_SETS, query)[0].media_type


def store_response_media_type(accept: Accept) -> str:
    """The media type of a store's response (STOW-10). Raises NotAcceptable as `negotiate` does.

    A client that asks for XML (Weasis does) gets JSON: better than to refuse its files for the form of the answer.
    """
    media_type = negotiate(accept, STORE_RESPONSE)[0].media_type
    return DICOM_JSON if media_type == DICOM_XML else media_type


def _text(accept: Accept) -> str:
    lines = [accept] if isinstance(accept, str) else accept or ()
    return ",".join(filter(str.strip, lines))


def _ranges(accept: str) -> Iterator[_Range]:
    """The members that can be understood. multipart/related without `type` is none (WADO-21)."""
    for member in media_types.parse_list(accept):
        media_range: str
        multipart: bool | None
        if member.name == "multipart/related":
            media_range, multipart = media_types.parse(member.parameters.get("type", "")).name, True
        elif member.name == "multipart/*":
            media_range, multipart = _ANYTHING, True
        else:
            media_range, multipart = member.name, None if member.name == _ANYTHING else False
        syntax = member.parameters.get("transfer-syntax", "")
        yield _Range(media_range, multipart, syntax, _quality(member.parameters.get("q", "")))


def _quality(text: str) -> float:
    """A quality that is missing or malformed is 1."""
    return min(float(text), 1.0) if _QUALITY.fullmatch(text) else 1.0


def _choices(accepted: _Range, resource: Resource) -> Iterator[Choice]:
    """What a resource has within a range."""
    is_range = accepted.media_range.endswith("/*")
    for offer in resource:
        multipart = offer.multipart if accepted.multipart is None else accepted.multipart
        is_offered = offer.multipart if multipart else offer.single
        if is_offered and _is_within(offer.media_type, accepted.media_range):
            for syntax in offer.syntaxes(accepted.transfer_syntax, is_range=is_range):
                yield Choice(offer.media_type, multipart, syntax)
            if accepted.media_range == _ANYTHING:
                return


def _is_within(media_type: str, media_range: str) -> bool:
    if media_range == _ANYTHING:
        return True
    return media_type.startswith(media_range[:-1]) if media_range.endswith("/*") else media_type == media_range
