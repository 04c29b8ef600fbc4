"""What each kind of resource offers: media types, payloads, transfer syntaxes (WADO-25 to WADO-31, PS3.18 8.7.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# In place of a transfer syntax: as stored.
AS_STORED: Final = "*"

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
JSON: Final = "application/json"
OCTET_STREAM: Final = "application/octet-stream"

_IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
_EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
_NATIVE_LITTLE_ENDIAN: Final = frozenset({_IMPLICIT_LITTLE_ENDIAN, _EXPLICIT_LITTLE_ENDIAN})

# The compressed pixel data that each image media type stands for, its default first (PS3.18 table 8.7.3-5). The names
# that only viewers use (`image/x-dicom-rle`, `image/jll`) are among them.
IMAGE_SYNTAXES: Final[Mapping[str, tuple[str, ...]]] = {
    "image/jpeg": (
        "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57",
    ),
    "image/jll": ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57"),
    "image/dicom-rle": ("1.2.840.10008.1.2.5",),
    "image/x-dicom-rle": ("1.2.840.10008.1.2.5",),
    "image/jls": ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
    "image/jp2": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
    "image/jpx": ("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"),
    "image/jphc": ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"),
}  # fmt: skip

# What can be asked for by name as a file: an instance that is stored so is sent as it is (D-21). The default is first.
# Video is not among them; it is retrieved as stored (WADO-34).
_FILE_SYNTAXES: Final = (
    _EXPLICIT_LITTLE_ENDIAN,
    _IMPLICIT_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    *dict.fromkeys(syntax for syntaxes in IMAGE_SYNTAXES.values() for syntax in syntaxes),
)


# MPEG2, MPEG-4 and HEVC, whose fragments are no frames (PS3.5 8.2.5 to 8.2.8, A.4.5 to A.4.10).
VIDEO: Final = frozenset(
    f"1.2.840.10008.1.2.4.{number}"
    for number in ("100", "100.1", "101", "101.1", "102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1",
                   "106", "106.1", "107", "108")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to answer."""

    media_type: str
    """Of the response, or of its parts when it is `multipart`."""
    multipart: bool
    transfer_syntax: str = AS_STORED
    """What the client asked for, by name or by default. AS_STORED for media types that have none as well."""
    quality: float = field(default=1.0, compare=False)
    """How much the client likes it: above 0, up to 1."""

    @property
    def target(self) -> str | None:
        """The transfer syntax that instances are to be sent in; None: as they are stored."""
        return None if self.transfer_syntax == AS_STORED else self.transfer_syntax

    def fits(self, stored: str) -> bool:
        """Whether an instance in the transfer syntax `stored` can be sent so without transcoding."""
        if self.transfer_syntax == AS_STORED:
            return stored in IMAGE_SYNTAXES.get(self.media_type, (stored,))
        # The frames of both native encodings are the same bytes.
        is_native = self.media_type == OCTET_STREAM and stored in _NATIVE_LITTLE_ENDIAN
        return stored == self.transfer_syntax or (is_native and self.transfer_syntax in _NATIVE_LITTLE_ENDIAN)

    @property
    def tag(self) -> str:
        """What makes its entity tag another one than those of other choices (RFC 9110 8.8.3.3)."""
        payload = f"multipart-{self.media_type}" if self.multipart else self.media_type
        return payload.replace("/", "-") + (f"-{self.target}" if self.target else "")

    def content_type(self, stored: str) -> str:
        """The Content-Type of the response or part that sends an instance stored so: WADO-42, WADO-43, CL-6."""
        delivered = stored if self.transfer_syntax == AS_STORED else self.transfer_syntax
        return f"{self.media_type}; transfer-syntax={delivered}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A media type that a resource has, and with which payloads."""

    media_type: str
    single: bool = True
    multipart: bool = False
    transfer_syntaxes: tuple[str, ...] = ()
    """What may be asked for by name, first the default. Empty: the media type has no transfer syntaxes."""

    def syntaxes(self, asked_for: str, *, is_range: bool) -> tuple[str, ...]:
        """What a client accepts that asks for this transfer syntax, or for none ("")."""
        if not self.transfer_syntaxes or asked_for == AS_STORED:
            return (AS_STORED,)
        if asked_for:
            return (asked_for,) if asked_for in self.transfer_syntaxes else ()
        if is_range:
            return (AS_STORED,)
        # An image in another of its media type's syntaxes is still one that the client can read.
        default = self.transfer_syntaxes[0]
        return (default, AS_STORED) if self.media_type in IMAGE_SYNTAXES else (default,)


# "*/*" means the first offer of a resource that has the payload asked for; without one multipart, if it can be (WADO-33).
type Resource = tuple[Offer, ...]

# INSTANCES: those of a study or series. DATA_SETS: metadata and search results.
INSTANCES: Final[Resource] = (Offer(DICOM, single=False, multipart=True, transfer_syntaxes=_FILE_SYNTAXES),)
INSTANCE: Final[Resource] = (Offer(DICOM, multipart=True, transfer_syntaxes=_FILE_SYNTAXES),)
FRAMES: Final[Resource] = (
    Offer(OCTET_STREAM, multipart=True, transfer_syntaxes=(_EXPLICIT_LITTLE_ENDIAN,)),
    *(
        Offer(media_type, single=False, multipart=True, transfer_syntaxes=syntaxes)
        for media_type, syntaxes in IMAGE_SYNTAXES.items()
    ),
)
# A value is sent as one part or as a body of its own, compressed pixel data as a part for each frame (PS3.18 8.7.3.3).
BULK_VALUE: Final[Resource] = (Offer(OCTET_STREAM), Offer(OCTET_STREAM, single=False, multipart=True))
BULK_FRAMES: Final[Resource] = tuple(
    Offer(media_type, single=False, multipart=True) for media_type in (OCTET_STREAM, *IMAGE_SYNTAXES)
)
# Of encapsulated documents (PS3.3 C.24.2). XML is not among them: a browser would run what scripts it has.
DOCUMENTS: Final[Mapping[str, Resource]] = {
    media_type: (Offer(media_type), Offer(media_type, single=False, multipart=True), *BULK_VALUE)
    for media_type in ("application/pdf", "model/mtl", "model/obj", "model/stl")
}
BULK_DATA: Final[Resource] = (
    *BULK_VALUE,
    *BULK_FRAMES,
    *(offer for offers in DOCUMENTS.values() for offer in offers[:2]),
)
RENDERED: Final[Resource] = (Offer("image/jpeg"), Offer("image/png"))
DATA_SETS: Final[Resource] = (Offer(DICOM_JSON), Offer(JSON))
STORE_RESPONSE: Final[Resource] = (*DATA_SETS, Offer(DICOM_XML))
