"""Instances and frames in other transfer syntaxes (WADO-50 to WADO-57, D-21, D-22, D-25, D-27)."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any, Final

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import generate_uid

from shared.dicom.file_meta import IMPLEMENTATION_CLASS_UID
from shared.dicom.pixels import JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from shared.dicom.transcoding import EXPLICIT_VR_LITTLE_ENDIAN
from shared.errors import NotAcceptable
from shared.services import retrieve, transcode
from shared.services.frames import frame_index
from shared.storage.instance_row import InstanceRow
from shared.storage.partitions import DEFAULT
from shared.storage.storage import Storage
from tests import builders
from tests.api.corpus import corpus_files
from tests.support.services import counted, store_files

COMPRESSED: Final = (JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS)
TARGETS: Final = (EXPLICIT_VR_LITTLE_ENDIAN, *COMPRESSED)
ALL: Final = frozenset(TARGETS)
NATIVE_ONLY: Final = frozenset({EXPLICIT_VR_LITTLE_ENDIAN})

# Files of each transfer syntax and kind of image, and the targets that they can be had in.
FILES: Final = {
    "pydicom-data/693_J2KR.dcm": ALL,  # signed
    "pydicom-data/US1_J2KR.dcm": ALL,  # YBR_RCT
    "pydicom-data/US1_J2KI.dcm": ALL,  # YBR_ICT
    "pydicom-data/JPEG-LL.dcm": ALL,
    "pydicom-data/OBXXXX1A.dcm": ALL,  # palette
    "pydicom-data/OBXXXX1A_expb_2frame.dcm": ALL,
    "pydicom-data/SC_rgb_expb_16bit_2frame.dcm": ALL,
    "pydicom-data/SC_rgb_expb_32bit.dcm": NATIVE_ONLY,
    "pydicom-data/SC_ybr_full_uncompressed.dcm": ALL,
    "pydicom-data/emri_small.dcm": ALL,  # 12 bits
    "pydicom-data/emri_small_big_endian.dcm": ALL,
    "pydicom-data/emri_small_jpeg_2k_lossless.dcm": ALL,
    "pydicom-data/emri_small_jpeg_ls_lossless.dcm": ALL,
    "pydicom-data/emri_small_RLE.dcm": ALL,
    "pydicom-data/explicit_VR-UN.dcm": ALL,
    "pydicom-data/gdcm-US-ALOKA-16.dcm": ALL,  # implicit VR
    "pydicom-data/gdcm-US-ALOKA-16_big.dcm": ALL,
    "pydicom-data/liver_expb.dcm": NATIVE_ONLY,  # single bits
    "pydicom-data/mlut_18.dcm": ALL,
    "test_files/693_J2KI.dcm": ALL,
    "test_files/J2K_pixelrep_mismatch.dcm": ALL,
    "test_files/MR_small_bigendian.dcm": ALL,
    "test_files/MR_small_implicit.dcm": ALL,
    "test_files/MR_small_padded.dcm": ALL,
    "test_files/SC_rgb_dcmtk_+eb+cr.dcm": ALL,
    "test_files/SC_rgb_dcmtk_+eb+cy+np.dcm": ALL,  # YBR_FULL_422 in JPEG
    "test_files/SC_rgb_dcmtk_+eb+cy+s4.dcm": ALL,
    "test_files/SC_rgb_gdcm_KY.dcm": ALL,
    "test_files/SC_rgb_jpeg_gdcm.dcm": ALL,
    "test_files/SC_rgb_rle_16bit_2frame.dcm": ALL,
    "test_files/SC_rgb_rle_32bit_2frame.dcm": NATIVE_ONLY,
    "test_files/SC_rgb_small_odd.dcm": ALL - {JPEG_LS_LOSSLESS},  # too small for the encoder
    "test_files/SC_rgb_small_odd_big_endian.dcm": ALL - {JPEG_LS_LOSSLESS},
    "test_files/SC_rgb_small_odd_jpeg.dcm": ALL - {JPEG_LS_LOSSLESS},
    "test_files/SC_ybr_full_422_uncompressed.dcm": ALL,
    "test_files/examples_ybr_color.dcm": ALL,  # 30 frames
    "test_files/image_dfl.dcm": ALL,  # deflated
    "test_files/rtdose_expb.dcm": NATIVE_ONLY,
    "test_files/rtdose_rle.dcm": NATIVE_ONLY,
    "test_files/reportsi.dcm": ALL,  # no pixels (WADO-55)
    "test_files/rtplan.dcm": ALL,
    "test_files/waveform_ecg.dcm": ALL,
}

# What transcoding changes beside the pixel data: PhotometricInterpretation, PlanarConfiguration, ExtendedOffsetTable.
CHANGED: Final = {0x00280004, 0x00280006, 0x7FE00001, 0x7FE00002, 0x7FE00010}


async def stored(storage: Storage, file: bytes) -> InstanceRow:
    """The row of a file that is new, with frames and metadata."""
    result = await store_files(storage, [file])
    assert result.stored
    row = result.files[0].row
    assert row is not None
    found = await retrieve.find(storage, DEFAULT, result.files[0].study, row.series, row.sop_instance)
    assert found.row
    return found.row


def with_fresh_uids(file: bytes) -> bytes:
    """The file with other UIDs of the same lengths, as many of the corpus share theirs."""
    dataset = pydicom.dcmread(BytesIO(file), stop_before_pixels=True)
    for uid in (dataset.StudyInstanceUID, dataset.SOPInstanceUID):
        file = file.replace(uid.encode(), generate_uid("1.2.").encode()[: len(uid)].rstrip(b".").ljust(len(uid), b"1"))
    return file


async def transcoded(storage: Storage, row: InstanceRow, target: str, changes: Any = None) -> bytes:
    return b"".join([chunk async for chunk in transcode.transcoded_file(storage, row, changes or {}, target)])


def pixels_of(dataset: Dataset) -> NDArray[Any] | None:
    """The samples, their colours as they are encoded."""
    if "PixelData" not in dataset:
        return None
    pixels, _ = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(dataset, raw=True)
    return pixels


@pytest.mark.filterwarnings("ignore")  # of pydicom, about the files of others
async def test_transcoded_files(storage: Storage) -> None:
    """WADO-53, WADO-55, D-22: equal pixels and elements, whatever the source and the target."""
    for name, possible in FILES.items():
        file = corpus_files()[name].read_bytes()
        file = file if name == "test_files/image_dfl.dcm" else with_fresh_uids(file)
        row = await stored(storage, file)
        before = pydicom.dcmread(BytesIO(file))
        for target in TARGETS:
            if target not in possible:
                with pytest.raises(NotAcceptable, match="The specified transcoding is not supported"):
                    await transcoded(storage, row, target)
                continue
            after = pydicom.dcmread(BytesIO(await transcoded(storage, row, target)))
            assert after.file_meta.TransferSyntaxUID == target
            check_elements(name, before, after)
            expected, pixels = pixels_of(before), pixels_of(after)
            assert (expected is None) == (pixels is None), (name, target)
            if pixels is not None:
                assert pixels.shape == expected.shape, (name, target)  # type: ignore[union-attr]
                assert np.array_equal(pixels, expected), (name, target)  # type: ignore[arg-type]


def check_elements(name: str, before: Dataset, after: Dataset) -> None:
    kept = [tag for tag in before.keys() if int(tag) not in CHANGED and tag.elem]  # noqa: SIM118 - a Dataset has them
    assert kept == [tag for tag in after.keys() if int(tag) not in CHANGED], name  # noqa: SIM118
    for tag in kept:
        expected = before[tag].value
        if before.original_encoding == (False, False) and before[tag].VR == "OW":  # pydicom leaves words as they are
            expected = np.frombuffer(expected, ">u2").astype("<u2").tobytes()
        assert after[tag].value == expected, (name, tag)
        assert after[tag].VR == before[tag].VR, (name, tag)


@pytest.mark.parametrize("target", TARGETS)
async def test_colours_of_the_transcoded_file(storage: Storage, target: str) -> None:
    """Colours are converted by code streams that do so themselves only; native ones come by pixel."""
    is_jpeg_2000 = target == JPEG_2000_LOSSLESS
    expected = {
        "pydicom-data/US1_J2KR.dcm": "YBR_RCT" if is_jpeg_2000 else "RGB",
        "test_files/SC_rgb_dcmtk_+eb+cy+np.dcm": "YBR_FULL",
        "test_files/SC_ybr_full_422_uncompressed.dcm": "YBR_FULL_422" if target not in COMPRESSED else "YBR_FULL",
    }
    for name, interpretation in expected.items():
        row = await stored(storage, with_fresh_uids(corpus_files()[name].read_bytes()))
        dataset = pydicom.dcmread(BytesIO(await transcoded(storage, row, target)))
        assert dataset.PhotometricInterpretation == interpretation
        assert dataset.PlanarConfiguration == 0


@pytest.mark.parametrize("target", TARGETS)
async def test_colours_by_plane(storage: Storage, target: str) -> None:
    """PlanarConfiguration 1 stays in native pixel data, and is 0 in compressed ones."""
    by_plane = np.random.default_rng(1).integers(0, 256, (2, 3, 20, 30)).astype("u1")
    content = builders.dataset()
    builders.add_pixels(content, 20, 30, 2, EXPLICIT_VR_LITTLE_ENDIAN)
    content.SamplesPerPixel, content.PhotometricInterpretation, content.PlanarConfiguration = 3, "RGB", 1
    content.PixelData = by_plane.tobytes()
    row = await stored(storage, builders.part10(content, builders.EXPLICIT_BIG))
    dataset = pydicom.dcmread(BytesIO(await transcoded(storage, row, target)))
    assert dataset.PlanarConfiguration == int(target not in COMPRESSED)
    assert np.array_equal(dataset.pixel_array, by_plane.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("transfer_syntax", builders.UNCOMPRESSED)
async def test_changes_of_the_study(storage: Storage, transfer_syntax: str) -> None:
    """D-65, WADO-103: the latest version has them, the original has not."""
    row = await stored(storage, builders.instance(rows=32, columns=32, frames=3, transfer_syntax=transfer_syntax))
    changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Łukasz"}]}}
    latest = pydicom.dcmread(BytesIO(await transcoded(storage, row, RLE_LOSSLESS, changes)))
    original = pydicom.dcmread(BytesIO(await transcoded(storage, row, RLE_LOSSLESS)))
    assert (latest.PatientName, original.PatientName) == ("Łukasz", "Doe^Jane")
    assert latest.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    for dataset in (latest, original):
        assert [frame.tobytes() for frame in dataset.pixel_array] == [builders.frame_pixels(n, 1024) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    "name",
    [
        "pydicom-data/emri_small_jpeg_2k_lossless.dcm",
        "pydicom-data/emri_small_big_endian.dcm",
        "test_files/SC_rgb_small_odd.dcm",
    ],
)
async def test_frames(storage: Storage, name: str) -> None:
    """WADO-57: native little endian bytes, or one code stream, without padding."""
    file = with_fresh_uids(corpus_files()[name].read_bytes())
    row = await stored(storage, file)
    index = frame_index(row)
    expected = pydicom.dcmread(BytesIO(file)).pixel_array
    expected = expected if index.count > 1 else expected[np.newaxis]
    for number in {1, index.count}:
        native = await transcode.transcoded_frame(storage, row, index, number, EXPLICIT_VR_LITTLE_ENDIAN)
        assert native == expected[number - 1].astype(expected.dtype.newbyteorder("<")).tobytes()
        stream = await transcode.transcoded_frame(storage, row, index, number, JPEG_2000_LOSSLESS)
        assert stream.startswith(b"\xff\x4f\xff\x51")
        assert stream.endswith(b"\xff\xd9")


async def test_frames_within_words_of_big_endian(storage: Storage) -> None:
    """Eight bits in OW: frames of an odd length begin in the middle of a word."""
    content = builders.dataset()
    builders.add_pixels(content, 3, 5, 3, EXPLICIT_VR_LITTLE_ENDIAN)
    words = np.frombuffer(content.PixelData, "<u2").astype(">u2")
    content.PixelData = words.tobytes()
    content["PixelData"].VR = "OW"
    row = await stored(storage, builders.part10(content, builders.EXPLICIT_BIG))
    index = frame_index(row)
    frames = [
        await transcode.transcoded_frame(storage, row, index, number, EXPLICIT_VR_LITTLE_ENDIAN) for number in (1, 2, 3)
    ]
    assert frames == [builders.frame_pixels(number, 15) for number in (1, 2, 3)]
    for target in (EXPLICIT_VR_LITTLE_ENDIAN, RLE_LOSSLESS):
        pixels = pydicom.dcmread(BytesIO(await transcoded(storage, row, target))).pixel_array
        assert [frame.tobytes() for frame in pixels] == frames


def fragmented(frames: int, fragments: int, *, with_table: bool) -> bytes:
    """Frames of JPEG-LS, each in several fragments."""
    file = corpus_files()["pydicom-data/emri_small_jpeg_ls_lossless.dcm"].read_bytes()
    dataset = pydicom.dcmread(BytesIO(with_fresh_uids(file)))
    streams = list(generate_frames(dataset.PixelData, number_of_frames=10))[:frames]
    dataset.PixelData = encapsulate(streams, fragments_per_frame=fragments, has_bot=with_table)
    dataset.NumberOfFrames = frames
    written = BytesIO()
    dataset.save_as(written)
    return written.getvalue()


@pytest.mark.parametrize("with_table", [True, False])
async def test_frames_of_several_fragments(storage: Storage, with_table: bool) -> None:
    """With an offset table, and where the code streams have to tell frames apart."""
    file = fragmented(4, 3, with_table=with_table)
    row = await stored(storage, file)
    dataset = pydicom.dcmread(BytesIO(await transcoded(storage, row, EXPLICIT_VR_LITTLE_ENDIAN)))
    assert np.array_equal(dataset.pixel_array, pydicom.dcmread(BytesIO(file)).pixel_array)


@pytest.mark.parametrize("name", ["pydicom-data/US1_J2KR.dcm", "test_files/SC_rgb_jpeg_dcmtk.dcm"])
@pytest.mark.parametrize("damage", ["ends early", "noise"])
async def test_damaged_code_streams(storage: Storage, name: str, damage: str) -> None:
    """WADO-54: 406 before the first byte; and the next request does not notice."""
    dataset = pydicom.dcmread(BytesIO(with_fresh_uids(corpus_files()[name].read_bytes())))
    [stream] = generate_frames(dataset.PixelData, number_of_frames=1)
    stream = stream[: len(stream) // 2] if damage == "ends early" else stream[:2] + os.urandom(len(stream))
    dataset.PixelData = encapsulate([stream])
    file = BytesIO()
    dataset.save_as(file)
    row = await stored(storage, file.getvalue())
    for target in (EXPLICIT_VR_LITTLE_ENDIAN, RLE_LOSSLESS):
        with pytest.raises(NotAcceptable, match="The specified transcoding is not supported"):
            await anext(aiter(transcode.transcoded_file(storage, row, {}, target)))
    with pytest.raises(NotAcceptable, match="The specified transcoding is not supported"):
        await transcode.transcoded_frame(storage, row, frame_index(row), 1, EXPLICIT_VR_LITTLE_ENDIAN)
    intact = await stored(storage, builders.instance(rows=32, columns=32))
    assert await transcoded(storage, intact, JPEG_2000_LOSSLESS)


async def test_pixels_that_are_missing(storage: Storage) -> None:
    """Fewer native frames than NumberOfFrames says: nothing is made up (WADO-54)."""
    row = await stored(storage, builders.instance(rows=32, columns=32, frames=2, NumberOfFrames=3))
    with pytest.raises(NotAcceptable):
        await anext(aiter(transcode.transcoded_file(storage, row, {}, RLE_LOSSLESS)))
    assert await transcoded(storage, row, builders.IMPLICIT_LITTLE)


async def test_what_metadata_tell(storage: Storage) -> None:
    """D-21: whether one of many instances cannot be transcoded is known before any file is read."""
    fine = await stored(storage, builders.instance(rows=4, columns=4))
    document = await stored(storage, builders.instance(rows=0))
    wide = await stored(
        storage, builders.instance(rows=4, columns=1, BitsAllocated=32, BitsStored=32, HighBit=31, PixelData=bytes(16))
    )
    video = await stored(storage, builders.instance(transfer_syntax="1.2.840.10008.1.2.4.102"))
    refused = ((wide, JPEG_2000_LOSSLESS), (video, EXPLICIT_VR_LITTLE_ENDIAN), (fine, "1.2.840.10008.1.2.4.50"))
    with counted(storage) as spent:
        for row in (fine, document):
            await transcode.check(storage, row, JPEG_2000_LOSSLESS)
            await transcode.check(storage, row, EXPLICIT_VR_LITTLE_ENDIAN)
        await transcode.check(storage, wide, builders.IMPLICIT_LITTLE)
        for row, target in refused:
            with pytest.raises(NotAcceptable, match="The specified transcoding is not supported"):
                await transcode.check(storage, row, target)
    assert spent.transactions == 0
    for row, target in refused:
        with pytest.raises(NotAcceptable, match="The specified transcoding is not supported"):
            await anext(aiter(transcode.transcoded_file(storage, row, {}, target)))


async def test_what_has_to_be_held_is_bounded(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """WADO-52: the elements around the pixel data; the pixels themselves may be longer (D-25)."""
    monkeypatch.setattr("shared.services.pixel_stream.MAX_HELD_BYTES", 100_000)
    long = [(0x00090010, "LO", "X"), (0x00091001, "OB", bytes(300_000))]
    behind = [(0xFFFCFFFC, "OB", bytes(300_000))]
    for elements in (long, behind):
        row = await stored(storage, builders.instance(elements=elements))
        with pytest.raises(NotAcceptable):
            await transcoded(storage, row, RLE_LOSSLESS)
    pixels = await stored(storage, builders.instance(rows=512, columns=1024, frames=2))
    assert len(await transcoded(storage, pixels, RLE_LOSSLESS)) > 100_000


async def test_a_reader_that_goes_away(storage: Storage) -> None:
    """Frames that are being transcoded are dropped, and the read of the blob ends."""
    row = await stored(storage, builders.instance(rows=64, columns=64, frames=40))
    chunks = transcode.transcoded_file(storage, row, {}, JPEG_2000_LOSSLESS)
    assert await anext(chunks)
    await chunks.aclose()
    assert await transcoded(storage, row, JPEG_2000_LOSSLESS)


async def test_deflated_files_are_inflated(storage: Storage) -> None:
    row = await stored(storage, builders.instance(rows=32, columns=32, transfer_syntax=builders.DEFLATED))
    file = await transcoded(storage, row, EXPLICIT_VR_LITTLE_ENDIAN)
    assert pydicom.dcmread(BytesIO(file)).PixelData == builders.frame_pixels(1, 1024)
    index = frame_index(row)
    assert await transcode.transcoded_frame(storage, row, index, 1, EXPLICIT_VR_LITTLE_ENDIAN) == file[-1024:]
    stream = await transcode.transcoded_frame(storage, row, index, 1, JPEG_2000_LOSSLESS)
    assert stream.startswith(b"\xff\x4f\xff\x51")


async def test_one_read_of_the_file(storage: Storage) -> None:
    """However many frames it has."""
    row = await stored(storage, builders.instance(rows=32, columns=32, frames=20))
    with counted(storage) as spent:
        await transcoded(storage, row, RLE_LOSSLESS)
    assert spent.transactions == 1
