"""Accept headers mean the same however they are written, and never break the service (D-3, CL-1)."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shared.errors import NotAcceptable
from shared.web.negotiation import negotiate, ranked
from shared.web.representations import (
    BULK_DATA,
    BULK_FRAMES,
    BULK_VALUE,
    DATA_SETS,
    FRAMES,
    INSTANCE,
    INSTANCES,
    RENDERED,
    STORE_RESPONSE,
    Choice,
    Resource,
)

type Member = tuple[str, list[tuple[str, str]]]
"""A member of Accept: its name and its parameters."""

RESOURCES = st.sampled_from(
    [INSTANCES, INSTANCE, FRAMES, BULK_DATA, BULK_VALUE, BULK_FRAMES, DATA_SETS, RENDERED, STORE_RESPONSE]
)
MEDIA_RANGES = st.sampled_from(
    ["application/dicom", "application/octet-stream", "application/dicom+json", "application/*"]
) | st.sampled_from(["image/jp2", "image/jpeg", "image/*", "*/*", "text/html"])
SYNTAXES = st.sampled_from(["", "*", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.3"])
QUALITIES = st.sampled_from(["", "0", "0.3", "0.5", "1", "1.000"])
BLANKS = ["", " ", "\t "]


@st.composite
def members(draw: st.DrawFn) -> Member:
    media_range, syntax, quality = draw(MEDIA_RANGES), draw(SYNTAXES), draw(QUALITIES)
    parameters = [("transfer-syntax", syntax)] * bool(syntax) + [("q", quality)] * bool(quality)
    if draw(st.booleans()):
        return "multipart/related", [("type", media_range), *parameters]
    return media_range, parameters


ACCEPTS = st.lists(members(), max_size=5)


def plain(accept: list[Member]) -> str:
    return ",".join(";".join([name, *(f"{key}={value}" for key, value in parameters)]) for name, parameters in accept)


def embellished(accept: list[Member], random: Random) -> list[str]:
    """The same members, one a line, with blanks, quotes and capitals, and their parameters in another order."""
    lines = []
    for name, parameters in accept:
        pieces = [random.choice([name, name.title()])]
        for key, value in random.sample(parameters, len(parameters)):
            pieces.append(f"{random.choice([key, key.upper()])}={random.choice([value, f'"{value}"'])}")
        lines.append(";".join(random.choice(BLANKS) + piece + random.choice(BLANKS) for piece in pieces))
    return lines


def outcome(accept: str | list[str], resource: Resource) -> list[Choice]:
    try:
        return negotiate(accept, resource)
    except NotAcceptable:
        return []


@given(ACCEPTS, RESOURCES, st.randoms(use_true_random=False))
def test_the_way_it_is_written_makes_no_difference(accept: list[Member], resource: Resource, random: Random) -> None:
    assert outcome(embellished(accept, random), resource) == outcome(plain(accept), resource)


@given(ACCEPTS, RESOURCES)
def test_every_choice_is_offered_and_none_comes_twice(accept: list[Member], resource: Resource) -> None:
    choices = outcome(plain(accept), resource)
    assert len(set(choices)) == len(choices)
    for choice in choices:
        assert any(
            choice.media_type == offer.media_type
            and (offer.multipart if choice.multipart else offer.single)
            and choice.transfer_syntax in ("*", *offer.transfer_syntaxes)
            for offer in resource
        )


@given(ACCEPTS, RESOURCES)
def test_anything_less_wanted_only_adds_choices(accept: list[Member], resource: Resource) -> None:
    """A client that adds */* at the lowest quality gets what it would have got, or something instead of 406."""
    before = outcome(plain(accept), resource)
    after = outcome([plain(accept), "*/*;q=0.001"], resource)
    assert not accept or [choice for choice in after if choice in before] == before


@given(st.text(alphabet='aq*/;=,." \\\t\x00é', max_size=40) | st.text(max_size=40), RESOURCES, st.text(max_size=10))
def test_nothing_but_not_acceptable_is_raised_whatever_the_text(text: str, resource: Resource, stored: str) -> None:
    ranked(outcome(text, resource), stored)
