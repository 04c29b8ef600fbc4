"""Which representation a client gets for its Accept header (WADO-20 to WADO-36, STOW-10, D-3, D-20, D-28, CL-1)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from shared.errors import NotAcceptable
from shared.web.negotiation import json_media_type, negotiate, ranked, store_response_media_type
from shared.web.representations import DATA_SETS, FRAMES, INSTANCE, INSTANCES, RENDERED, Choice, Resource

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
MPEG_2 = "1.2.840.10008.1.2.4.100"
RLE = "1.2.840.10008.1.2.5"

DICOM_PARTS = 'multipart/related; type="application/dicom"'
FRAME_PARTS = 'multipart/related; type="application/octet-stream"'


def first(accept: str | list[str] | None, resource: Resource) -> Choice:
    return negotiate(accept, resource)[0]


def refuses(accept: str | list[str], resource: Resource) -> bool:
    with pytest.raises(NotAcceptable, match=r"^The request headers are not acceptable$"):
        negotiate(accept, resource)
    return True


# The table of WADO-25 to WADO-31


def choose(choices: Iterable[Choice], *stored: str) -> Choice | None:
    """The first choice that needs no transcoding."""
    return next((choice for choice in ranked(choices, *stored) if all(map(choice.fits, stored))), None)


@pytest.mark.parametrize(
    ("resource", "accept", "expected"),
    [
        (INSTANCES, DICOM_PARTS, Choice("application/dicom", True, EXPLICIT)),  # WADO-25
        (INSTANCES, f"{DICOM_PARTS}; transfer-syntax=*", Choice("application/dicom", True, "*")),
        (INSTANCES, f"{DICOM_PARTS}; transfer-syntax={EXPLICIT}", Choice("application/dicom", True, EXPLICIT)),
        (INSTANCES, f"{DICOM_PARTS}; transfer-syntax={JPEG_2000_LOSSLESS}",
         Choice("application/dicom", True, JPEG_2000_LOSSLESS)),
        (INSTANCES, 'multipart/related; type="*/*"', Choice("application/dicom", True, "*")),  # WADO-26
        (INSTANCES, "*/*", Choice("application/dicom", True, "*")),  # D-20
        (INSTANCE, "application/dicom", Choice("application/dicom", False, EXPLICIT)),  # WADO-27
        (INSTANCE, "application/dicom; transfer-syntax=*", Choice("application/dicom", False, "*")),
        (INSTANCE, DICOM_PARTS, Choice("application/dicom", True, EXPLICIT)),
        (INSTANCE, "*/*", Choice("application/dicom", True, "*")),  # WADO-28, WADO-33
        (INSTANCE, f"*/*; transfer-syntax={EXPLICIT}", Choice("application/dicom", True, EXPLICIT)),
        (FRAMES, "application/octet-stream", Choice("application/octet-stream", False, EXPLICIT)),  # WADO-29
        (FRAMES, "application/octet-stream; transfer-syntax=*", Choice("application/octet-stream", False, "*")),
        (FRAMES, FRAME_PARTS, Choice("application/octet-stream", True, EXPLICIT)),
        (FRAMES, 'multipart/related; type="image/jp2"', Choice("image/jp2", True, JPEG_2000_LOSSLESS)),  # WADO-30
        (FRAMES, "*/*", Choice("application/octet-stream", True, "*")),  # WADO-31, WADO-33
        (FRAMES, 'multipart/related; type="*/*"', Choice("application/octet-stream", True, "*")),
    ],
)  # fmt: skip
def test_wado25_to_wado31(resource: Resource, accept: str, expected: Choice) -> None:
    assert first(accept, resource) == expected


@pytest.mark.parametrize(
    ("resource", "accept"),
    [
        (INSTANCES, "application/dicom"),
        (INSTANCES, "application/dicom; transfer-syntax=*"),
        (INSTANCES, "multipart/related"),  # WADO-21
        (INSTANCES, FRAME_PARTS),
        (INSTANCES, 'multipart/related; type="application/dicom+json"'),
        (INSTANCES, f"{DICOM_PARTS}; transfer-syntax={MPEG_2}"),  # WADO-34
        (INSTANCES, f"{DICOM_PARTS}; transfer-syntax=unsupported"),
        (INSTANCES, "application/*"),
        (INSTANCE, "application/dicom+json"),
        (INSTANCE, "application/data, text/plain"),
        (INSTANCE, "image/*"),
        (INSTANCE, "multipart/mixed"),
        (INSTANCE, f"application/dicom; transfer-syntax={MPEG_2}"),
        (INSTANCE, "nonsense"),
        (INSTANCE, ",;,"),
        (FRAMES, "application/dicom"),
        (FRAMES, DICOM_PARTS),
        (FRAMES, "image/jp2"),  # WADO-30: multipart only
        (FRAMES, f'multipart/related; type="image/jp2"; transfer-syntax={JPEG_BASELINE}'),
        (FRAMES, f"{FRAME_PARTS}; transfer-syntax={JPEG_2000_LOSSLESS}"),
        (FRAMES, 'multipart/related; type="image/png"'),
    ],
)
def test_wado24_wado34_nothing_else_is_acceptable(resource: Resource, accept: str) -> None:
    assert refuses(accept, resource)


# Syntax


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="application/dicom"; transfer-syntax="*"',
        "multipart/related;type=application/dicom;transfer-syntax=*",
        'multipart/related;type="application/dicom";transfer-syntax=*',
        "Multipart/Related ; Type = Application/DICOM ; Transfer-Syntax = *",
        'multipart/related; transfer-syntax=*; q=0.5; type="application/dicom"; boundary="a,b;c"',
        'text/html, , multipart/related; type="application/dicom"; transfer-syntax=*,',
        ["text/html", "multipart/related; type=application/dicom; transfer-syntax=*"],
    ],
)
def test_cl1_quotes_and_blanks_are_optional(accept: str | list[str]) -> None:
    assert negotiate(accept, INSTANCES) == [Choice("application/dicom", True, "*")]


@pytest.mark.parametrize("accept", [None, "", "  ", [], ["", " "]])
@pytest.mark.parametrize("resource", [INSTANCES, INSTANCE, FRAMES, DATA_SETS, RENDERED])
def test_d3_missing_accept_is_anything(accept: str | list[str] | None, resource: Resource) -> None:
    assert negotiate(accept, resource) == negotiate("*/*", resource)


def test_cl1_query_parameter_wins() -> None:
    assert negotiate("*/*", RENDERED, "image/png") == [Choice("image/png", False)]
    assert negotiate("application/dicom", RENDERED, ["image/jpeg"]) == [Choice("image/jpeg", False)]
    assert negotiate("image/png", RENDERED, " ") == negotiate("image/png", RENDERED, None)
    with pytest.raises(NotAcceptable):
        negotiate("*/*", RENDERED, "text/html")


def test_quotes_that_are_not_closed_are_harmless() -> None:
    assert refuses('application/dicom; x="' + '\\"' * 30_000 + ", application/dicom", INSTANCES)
    assert negotiate('*/*, text/html; x="a, application/dicom', INSTANCES) == negotiate("*/*", INSTANCES)


# Preference


@pytest.mark.parametrize(
    ("accept", "order"),
    [
        # WADO-35: by quality, 1 when missing; stable
        (f"application/dicom;q=0.5, {DICOM_PARTS};q=0.8", [True, False]),
        (f"application/dicom;q=0.5, {DICOM_PARTS}", [True, False]),
        (f"application/dicom, {DICOM_PARTS}", [False, True]),
        (f"application/dicom;q=0.500, {DICOM_PARTS};q=.5", [False, True]),
        (f"application/dicom;q=high, {DICOM_PARTS};q=0.9", [False, True]),
        (f"application/dicom;q=7, {DICOM_PARTS};q=1.0", [False, True]),
        # "as stored" first, at the same quality only
        (f"application/dicom, {DICOM_PARTS}; transfer-syntax=*", [True, False]),
        (f"application/dicom;q=0.9, {DICOM_PARTS}; transfer-syntax=*;q=0.8", [False, True]),
        # WADO-36
        (f"application/dicom; transfer-syntax={MPEG_2}, {DICOM_PARTS};q=0.1", [True]),
    ],
)
def test_wado35_wado36_preference(accept: str, order: list[bool]) -> None:
    assert [choice.multipart for choice in negotiate(accept, INSTANCE)] == order


@pytest.mark.parametrize(
    ("resource", "accept", "expected"),
    [
        # The more specific range decides, wherever it stands.
        (INSTANCE, f"{DICOM_PARTS};q=0, multipart/*, application/*;q=0.1", [Choice("application/dicom", False, "*")]),
        (DATA_SETS, "*/*, application/dicom+json;q=0, application/json;q=0.1", [Choice("application/json", False)]),
        (INSTANCE, "application/dicom, */*;q=0", [Choice("application/dicom", False, EXPLICIT)]),
        (INSTANCE, "application/dicom, application/*;q=0", [Choice("application/dicom", False, EXPLICIT)]),
        (
            INSTANCE,
            f"application/dicom;q=0, application/dicom;transfer-syntax={JPEG_LS}",
            [Choice("application/dicom", False, JPEG_LS)],
        ),
        (RENDERED, "image/*;q=0.5, image/jpeg;q=0.1", [Choice("image/png", False), Choice("image/jpeg", False)]),
    ],
)
def test_d3_q0_and_precedence(resource: Resource, accept: str, expected: list[Choice]) -> None:
    assert negotiate(accept, resource) == expected


@pytest.mark.parametrize(
    ("resource", "accept"),
    [
        (INSTANCE, "application/dicom;q=0"),
        (INSTANCE, "*/*;q=0.0"),
        (INSTANCES, f"*/*, {DICOM_PARTS};q=0"),
        (INSTANCES, "*/*, multipart/*;q=0.000"),
        (DATA_SETS, "*/*;q=0.5, application/*;q=0"),
    ],
)
def test_d3_q0_is_not_acceptable(resource: Resource, accept: str) -> None:
    assert refuses(accept, resource)


@pytest.mark.parametrize(
    ("resource", "accept", "expected"),
    [
        (INSTANCE, "application/*", [Choice("application/dicom", False, "*")]),
        (INSTANCE, "multipart/*", [Choice("application/dicom", True, "*")]),
        (INSTANCES, "multipart/*", [Choice("application/dicom", True, "*")]),
        (INSTANCES, 'multipart/related; type="application/*"', [Choice("application/dicom", True, "*")]),
        (FRAMES, "application/*", [Choice("application/octet-stream", False, "*")]),
        (FRAMES, "multipart/*", [Choice("application/octet-stream", True, "*")]),
        (DATA_SETS, "application/*", [Choice("application/dicom+json", False), Choice("application/json", False)]),
        (RENDERED, "image/*", [Choice("image/jpeg", False), Choice("image/png", False)]),  # D-28
        (RENDERED, "*/*", [Choice("image/jpeg", False)]),
        (RENDERED, "image/png, image/jpeg;q=0.5", [Choice("image/png", False), Choice("image/jpeg", False)]),
    ],
)
def test_d3_d28_type_ranges(resource: Resource, accept: str, expected: list[Choice]) -> None:
    assert negotiate(accept, resource) == expected


# What can be made of what is stored


@pytest.mark.parametrize(
    ("accept", "stored", "media_type"),
    [
        (DICOM_PARTS, EXPLICIT, "application/dicom"),
        (DICOM_PARTS, IMPLICIT, None),
        (DICOM_PARTS, JPEG_LS, None),
        (f"{DICOM_PARTS}; transfer-syntax={JPEG_LS}", JPEG_LS, "application/dicom"),  # D-21
        (f"{DICOM_PARTS}; transfer-syntax={JPEG_LS}", EXPLICIT, None),
        (f"{DICOM_PARTS}; transfer-syntax=*", MPEG_2, "application/dicom"),
        (f"{DICOM_PARTS}, {DICOM_PARTS}; transfer-syntax=*; q=0.1", RLE, "application/dicom"),
    ],
)
def test_instances_are_sent_as_stored_or_not_at_all(accept: str, stored: str, media_type: str | None) -> None:
    choice = choose(negotiate(accept, INSTANCES), stored)
    assert (choice and choice.media_type) == media_type


@pytest.mark.parametrize(
    ("accept", "stored", "media_type"),
    [
        (FRAME_PARTS, EXPLICIT, "application/octet-stream"),
        (FRAME_PARTS, IMPLICIT, "application/octet-stream"),  # the same bytes
        (FRAME_PARTS, BIG_ENDIAN, None),
        (FRAME_PARTS, RLE, None),
        ('multipart/related; type="*/*"', JPEG_LS, "application/octet-stream"),
        ('multipart/related; type="image/jpeg"', JPEG_BASELINE, "image/jpeg"),
        ('multipart/related; type="image/jpeg"', JPEG_LOSSLESS, "image/jpeg"),
        ('multipart/related; type="image/jpeg"', JPEG_LS, None),
        (f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG_BASELINE}', JPEG_BASELINE, "image/jpeg"),
        (f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG_BASELINE}', JPEG_LOSSLESS, None),
        ('multipart/related; type="image/jls"', JPEG_LS, "image/jls"),
        ('multipart/related; type="image/x-dicom-rle"', RLE, "image/x-dicom-rle"),
        ('multipart/related; type="image/dicom-rle"', RLE, "image/dicom-rle"),
        ('multipart/related; type="image/jp2"', JPEG_2000, "image/jp2"),
        ('multipart/related; type="image/jp2"; transfer-syntax=*', JPEG_2000, "image/jp2"),
        ('multipart/related; type="image/jp2"; transfer-syntax=*', EXPLICIT, None),
        ('multipart/related; type="image/*"', JPEG_2000, "image/jp2"),
        ('multipart/related; type="image/*"', EXPLICIT, None),
    ],
)
def test_frames_are_sent_in_the_media_type_of_what_is_stored(accept: str, stored: str, media_type: str | None) -> None:
    choice = choose(negotiate(accept, FRAMES), stored)
    assert (choice and choice.media_type) == media_type


def test_d21_one_choice_for_all_instances() -> None:
    choices = negotiate(f"{DICOM_PARTS}, */*; q=0.1", INSTANCES)
    assert choose(choices, EXPLICIT) == Choice("application/dicom", True, EXPLICIT)
    assert choose(choices, EXPLICIT, RLE) == Choice("application/dicom", True, "*")
    assert choose(choices[:1], EXPLICIT, RLE) is None


def test_what_is_liked_equally_is_sent_without_transcoding() -> None:
    """PS3.18 8.7.8: the server is free to choose then; quality comes first (WADO-35)."""
    both = f'multipart/related; type="image/jp2", {FRAME_PARTS}'
    assert ranked(negotiate(both, FRAMES), EXPLICIT)[0].media_type == "application/octet-stream"
    assert ranked(negotiate(both, FRAMES), JPEG_2000)[0].media_type == "image/jp2"
    assert ranked(negotiate(f"{both}; q=0.5", FRAMES), EXPLICIT)[0].media_type == "image/jp2"


def test_wado43_cl6_content_type_names_what_is_delivered() -> None:
    assert first("*/*", INSTANCE).content_type(RLE) == f"application/dicom; transfer-syntax={RLE}"
    assert first(FRAME_PARTS, FRAMES).content_type(IMPLICIT) == f"application/octet-stream; transfer-syntax={EXPLICIT}"


# What was recorded of real clients


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="application/octet-stream"; transfer-syntax="*"',
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related; type="*/*"',
    ],
)
@pytest.mark.parametrize("stored", [IMPLICIT, EXPLICIT, JPEG_BASELINE, RLE])
def test_frames_for_ohif_and_dicomweb_client(accept: str, stored: str) -> None:
    choice = choose(negotiate(accept, FRAMES), stored)
    assert choice == Choice("application/octet-stream", True, "*")
    assert choice.content_type(stored).endswith(f"; transfer-syntax={stored}")


@pytest.mark.parametrize(
    ("stored", "media_type"),
    [
        (JPEG_2000, "image/jp2"),
        (JPEG_BASELINE, "image/jpeg"),
        (EXPLICIT, "application/octet-stream"),
        (JPEG_LS, None),  # wsidicom finds out so what is not supported
    ],
)
def test_frames_for_dicomweb_client_with_media_types(stored: str, media_type: str | None) -> None:
    accept = f'multipart/related; type="image/jp2", multipart/related; type="image/jpeg", {FRAME_PARTS}'
    choice = choose(negotiate(accept, FRAMES), stored)
    assert (choice and choice.media_type) == media_type
    assert choice is None or choice.multipart


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="application/dicom"; transfer-syntax=*',  # dicomweb-client
        'multipart/related;type="application/dicom";transfer-syntax=*',  # Weasis
    ],
)
@pytest.mark.parametrize("resource", [INSTANCE, INSTANCES])
def test_files_for_dicomweb_client_and_weasis(accept: str, resource: Resource) -> None:
    assert choose(negotiate(accept, resource), MPEG_2) == Choice("application/dicom", True, "*")


def test_rendered_for_ohif_and_dicomweb_client() -> None:
    assert negotiate("*/*", RENDERED, "image/jpeg")[0].media_type == "image/jpeg"
    assert negotiate("image/jpeg", RENDERED)[0].media_type == "image/jpeg"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/dicom+json", "application/dicom+json"),
        ("application/dicom+json, multipart/related; type=application/octet-stream", "application/dicom+json"),  # OHIF
        ("*/*", "application/dicom+json"),  # Orthanc
        ("application/*", "application/dicom+json"),
        ("application/dicom+json; charset=utf-8; transfer-syntax=*", "application/dicom+json"),
        ("application/json", "application/json"),
        ("application/json;q=0.5, application/dicom+json", "application/dicom+json"),
        (None, "application/dicom+json"),
    ],
)
def test_wado80_qido9_dicom_json(accept: str | None, media_type: str) -> None:
    assert json_media_type(accept) == media_type
    assert json_media_type("text/html", accept or "*/*") == media_type
    assert store_response_media_type(accept) == media_type


@pytest.mark.parametrize("accept", ["application/dicom", "application/data", "text/*", 'multipart/related; type="*/*"'])
def test_stow10_wado80_other_types_are_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        json_media_type(accept)
    with pytest.raises(NotAcceptable):
        store_response_media_type(accept)


def test_weasis_may_store() -> None:
    assert store_response_media_type("application/dicom+xml") == "application/dicom+json"
    with pytest.raises(NotAcceptable):
        json_media_type("application/dicom+xml")
