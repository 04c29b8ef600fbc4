"""Every file that the wheels of pydicom and pydicom-data bring, and what the service must make of it.

Left aside are Python's own files and notes for readers (*.py, *.pyc, *.txt, *.md, README). Files of other formats (JSON, ICC
profiles, ...) stay in, as bytes that are not DICOM. Names are relative to the data folder of pydicom; those of pydicom-data
begin with "pydicom-data/".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import data_store  # type: ignore[import-untyped]  # pydicom-data, which has no types
import pydicom

_NOTES: Final = {".md", ".py", ".pyc", ".txt"}
_FOLDERS: Final = ("charset_files", "palettes", "test_files")


@dataclass(frozen=True, slots=True)
class Stored:
    """The file is stored; `implicit_vr` and elements that fail validation are the reasons for a warning (STOW-90).

    `left_out` has the paths of these elements: the tags of the sequences that hold it, in their first item, and its own.
    """

    left_out: tuple[str, ...] = ()
    implicit_vr: bool = False

    @property
    def warning(self) -> int | None:
        return 45063 if self.implicit_vr else 1 if self.left_out else None


@dataclass(frozen=True, slots=True)
class Refused:
    """The file is refused, `because` of that; `comments` has the tags that the comments are about."""

    because: str
    comments: tuple[str, ...] = ()


@cache
def corpus_files() -> dict[str, Path]:
    """The files by name, as they lie on the disk."""
    root = Path(pydicom.__file__).parent / "data"
    found = {path.relative_to(root).as_posix(): path for folder in _FOLDERS for path in (root / folder).rglob("*")}
    root = Path(data_store.__file__).parent / "data"
    found |= {f"pydicom-data/{path.relative_to(root).as_posix()}": path for path in root.rglob("*")}
    return {
        name: path
        for name, path in found.items()
        if path.is_file() and path.suffix not in _NOTES and path.name != "README"
    }


# Stored

_WITHOUT_A_WARNING: Final = {
    "charset_files": """
        chrArab.dcm chrFren.dcm chrFrenMulti.dcm chrGerm.dcm chrGreek.dcm chrH31.dcm chrH32.dcm chrHbrw.dcm chrI2.dcm
        chrJapMulti.dcm chrJapMultiExplicitIR6.dcm chrKoreanMulti.dcm chrRuss.dcm chrX1.dcm chrX2.dcm
    """,
    "test_files": """
        693_J2KI.dcm CT_small.dcm J2K_pixelrep_mismatch.dcm JPEG-lossy.dcm JPEG2000-embedded-sequence-delimiter.dcm
        JPEG2000.dcm JPGExtended.dcm MR_small.dcm MR_small_RLE.dcm MR_small_bigendian.dcm MR_small_expb.dcm
        MR_small_jp2klossless.dcm MR_small_jpeg_ls_lossless.dcm MR_small_padded.dcm SC_rgb_dcmtk_+eb+cr.dcm
        SC_rgb_dcmtk_+eb+cy+n1.dcm SC_rgb_dcmtk_+eb+cy+n2.dcm SC_rgb_dcmtk_+eb+cy+np.dcm SC_rgb_dcmtk_+eb+cy+s2.dcm
        SC_rgb_dcmtk_+eb+cy+s4.dcm SC_rgb_gdcm_KY.dcm SC_rgb_jpeg_dcmtk.dcm SC_rgb_jpeg_gdcm.dcm
        SC_rgb_jpeg_lossy_gdcm.dcm SC_rgb_rle.dcm SC_rgb_rle_16bit.dcm SC_rgb_rle_16bit_2frame.dcm
        SC_rgb_rle_2frame.dcm SC_rgb_rle_32bit.dcm SC_rgb_rle_32bit_2frame.dcm SC_rgb_small_odd.dcm
        SC_rgb_small_odd_big_endian.dcm SC_rgb_small_odd_jpeg.dcm SC_ybr_full_422_uncompressed.dcm examples_jpeg2k.dcm
        examples_overlay.dcm examples_palette.dcm examples_rgb_color.dcm examples_ybr_color.dcm liver_1frame.dcm
        liver_expb_1frame.dcm waveform_ecg.dcm
    """,
    "test_files/dicomdirtests/77654033/CR1": "6154",
    "test_files/dicomdirtests/77654033/CR2": "6247",
    "test_files/dicomdirtests/77654033/CR3": "6278",
    "test_files/dicomdirtests/77654033/CT2": "17106 17136 17166 17196",
    "test_files/dicomdirtests/98892001/CT2N": "6293 6924",
    "test_files/dicomdirtests/98892001/CT5N": "2062 2392 2693 3023 3353",
    "test_files/dicomdirtests/98892003/MR1": "15820 4919 5641",
    "test_files/dicomdirtests/98892003/MR2": "15970 4950 4981 5011 6273 6605 6935",
    "test_files/dicomdirtests/98892003/MR700": "4467 4528 4558 4588 4618 4648 4678",
    "test_files/dicomdirtests/TINY_ALPHA/PT000000/ST000000/SE000000": """
        IM000000 IM000001 IM000002 IM000003 IM000004 IM000005 IM000006 IM000007 IM000008 IM000009 IM00000A IM00000B
        IM00000C IM00000D IM00000E IM00000F IM00000G IM00000H IM00000I IM00000J IM00000K IM00000L IM00000M IM00000N
        IM00000O IM00000P IM00000Q IM00000R IM00000S IM00000T IM00000U IM00000V IM00000W IM00000X IM00000Y IM00000Z
        IM000010 IM000011 IM000012 IM000013 IM000014 IM000015 IM000016 IM000017 IM000018 IM000019 IM00001A IM00001B
        IM00001C IM00001D
    """,
    "pydicom-data": """
        693_J2KR.dcm 693_UNCI.dcm 693_UNCR.dcm JPEG-LL.dcm JPEG2000_UNC.dcm MR-SIEMENS-DICOM-WithOverlays.dcm
        MR2_J2KI.dcm MR2_J2KR.dcm MR2_UNCI.dcm MR2_UNCR.dcm OBXXXX1A.dcm OBXXXX1A_2frame.dcm OBXXXX1A_expb.dcm
        OBXXXX1A_expb_2frame.dcm OBXXXX1A_rle.dcm OBXXXX1A_rle_2frame.dcm RG1_J2KI.dcm RG1_J2KR.dcm RG1_UNCI.dcm
        RG1_UNCR.dcm RG3_J2KI.dcm RG3_J2KR.dcm RG3_UNCI.dcm RG3_UNCR.dcm SC_rgb.dcm SC_rgb_16bit.dcm
        SC_rgb_16bit_2frame.dcm SC_rgb_2frame.dcm SC_rgb_32bit.dcm SC_rgb_32bit_2frame.dcm SC_rgb_dcmtk_ebcr_dcmd.dcm
        SC_rgb_dcmtk_ebcyn1_dcmd.dcm SC_rgb_dcmtk_ebcyn2_dcmd.dcm SC_rgb_dcmtk_ebcynp_dcmd.dcm
        SC_rgb_dcmtk_ebcys2_dcmd.dcm SC_rgb_dcmtk_ebcys4_dcmd.dcm SC_rgb_expb.dcm SC_rgb_expb_16bit.dcm
        SC_rgb_expb_16bit_2frame.dcm SC_rgb_expb_2frame.dcm SC_rgb_expb_32bit.dcm SC_rgb_expb_32bit_2frame.dcm
        SC_rgb_gdcm2k_uncompressed.dcm SC_ybr_full_uncompressed.dcm US1_J2KI.dcm US1_J2KR.dcm US1_UNCI.dcm
        US1_UNCR.dcm color3d_jpeg_baseline.dcm eCT_Supplemental.dcm explicit_VR-UN.dcm liver.dcm liver_expb.dcm
        mlut_18.dcm vlut_04.dcm
    """,
}

_BLANK_PATIENT_ID: Final = Stored(left_out=("00100020",))  # STOW-54
_LEADING_ZERO: Final = "300C0002.00081155"  # a component of ReferencedSOPInstanceUID, which STOW-6B forbids

_WITH_A_WARNING: Final = {
    "test_files/rtstruct.dcm": Stored(implicit_vr=True),  # without preamble, prefix and File Meta Information
    "pydicom-data/JPGLosslessP14SV1_1s_1f_8b.dcm": _BLANK_PATIENT_ID,
    "pydicom-data/emri_small.dcm": _BLANK_PATIENT_ID,
    "pydicom-data/emri_small_RLE.dcm": _BLANK_PATIENT_ID,
    "pydicom-data/emri_small_big_endian.dcm": _BLANK_PATIENT_ID,
    "pydicom-data/emri_small_jpeg_2k_lossless.dcm": _BLANK_PATIENT_ID,
    "pydicom-data/emri_small_jpeg_ls_lossless.dcm": _BLANK_PATIENT_ID,
    # ImageType ABDOM/RAD is no code string (STOW-62).
    "pydicom-data/gdcm-US-ALOKA-16.dcm": Stored(left_out=("00080008",), implicit_vr=True),
    "pydicom-data/gdcm-US-ALOKA-16_big.dcm": Stored(left_out=("00080008",)),
    "test_files/MR_small_implicit.dcm": Stored(implicit_vr=True),
    "test_files/SC_jpeg_no_color_transform.dcm": _BLANK_PATIENT_ID,
    "test_files/SC_jpeg_no_color_transform_2.dcm": _BLANK_PATIENT_ID,
    "test_files/SC_rgb_jpeg_app14_dcmd.dcm": _BLANK_PATIENT_ID,
    "test_files/SC_rgb_jpeg_dcmd.dcm": Stored(left_out=("00100020",), implicit_vr=True),
    # NumberOfFrames 1A is no integer (STOW-66).
    "test_files/badVR.dcm": Stored(left_out=("00280008", _LEADING_ZERO)),
    "test_files/image_dfl.dcm": _BLANK_PATIENT_ID,
    "test_files/reportsi.dcm": _BLANK_PATIENT_ID,
    "test_files/reportsi_with_empty_number_tags.dcm": _BLANK_PATIENT_ID,
    "test_files/rtdose.dcm": Stored(left_out=(_LEADING_ZERO,), implicit_vr=True),
    "test_files/rtdose_1frame.dcm": Stored(left_out=(_LEADING_ZERO,), implicit_vr=True),
    "test_files/rtdose_expb.dcm": Stored(left_out=(_LEADING_ZERO,)),
    "test_files/rtdose_expb_1frame.dcm": Stored(left_out=(_LEADING_ZERO,)),
    "test_files/rtdose_rle.dcm": Stored(left_out=(_LEADING_ZERO,)),
    "test_files/rtdose_rle_1frame.dcm": Stored(left_out=(_LEADING_ZERO,)),
    "test_files/rtplan.dcm": Stored(implicit_vr=True),
    "test_files/test-SR.dcm": _BLANK_PATIENT_ID,
}

# Refused

_DIRECTORY: Final = Refused("a directory of media is no SOP instance: SOPClassUID is absent", ("00080016",))
_EXCERPT: Final = Refused("a few elements, none of which identifies an instance: SOPClassUID is absent", ("00080016",))
_PALETTE: Final = Refused("palettes belong to no study: StudyInstanceUID is absent", ("0020000D",))
_NO_STUDY: Final = Refused("an image without a study: StudyInstanceUID is absent", ("0020000D",))
_NO_PATIENT_ID: Final = Refused("PatientID is absent", ("00100020",))
_NOT_DICOM: Final = Refused("another format")

REFUSED: Final = {
    "charset_files/chrSQEncoding.dcm": _EXCERPT,
    "charset_files/chrSQEncoding1.dcm": _EXCERPT,
    "palettes/fall.dcm": _PALETTE,
    "palettes/hotiron.dcm": _PALETTE,
    "palettes/hotmetalblue.dcm": _PALETTE,
    "palettes/pet.dcm": _PALETTE,
    "palettes/pet20step.dcm": _PALETTE,
    "palettes/spring.dcm": _PALETTE,
    "palettes/summer.dcm": _PALETTE,
    "palettes/winter.dcm": _PALETTE,
    "pydicom-data/OT-PAL-8-face.dcm": Refused(
        "PatientID is absent; date and time of the study are worth a warning", ("00100020", "00080020", "00080030")
    ),
    "pydicom-data/bad_sequence.dcm": Refused(
        "hashes stand in the place of the UIDs; those in the place of StudyID and PatientAge are worth a warning",
        ("0020000D", "0020000E", "00080018", "00200010", "00101010"),
    ),
    "pydicom-data/color-pl.dcm": Refused(
        "PatientID is absent; dates and times in the format of ACR-NEMA are worth a warning",
        ("00100020", "00080020", "00080023", "00080030"),
    ),
    "pydicom-data/color-px.dcm": Refused(
        "PatientID is absent; dates and times in the format of ACR-NEMA are worth a warning",
        ("00100020", "00080020", "00080023", "00080030"),
    ),
    "pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm": Refused(
        "the file ends before the delimiter of its fragments (PS3.5 A.4), and nobody can tell that there were no more"
    ),
    "test_files/ExplVR_BigEnd.dcm": Refused(
        "PatientID is absent; dates and times in the format of ACR-NEMA are worth a warning",
        ("00100020", "00080020", "00080030"),
    ),
    "test_files/ExplVR_BigEndNoMeta.dcm": _NO_PATIENT_ID,
    "test_files/ExplVR_LitEndNoMeta.dcm": _NO_PATIENT_ID,
    "test_files/GDCMJ2K_TextGBR.dcm": _NO_PATIENT_ID,
    "test_files/JPEGLSNearLossless_08.dcm": _NO_STUDY,
    "test_files/JPEGLSNearLossless_16.dcm": _NO_STUDY,
    "test_files/MR_truncated.dcm": Refused("the file ends within its pixel data"),
    "test_files/SC_rgb_jls_lossy_line.dcm": _NO_STUDY,
    "test_files/SC_rgb_jls_lossy_sample.dcm": _NO_STUDY,
    "test_files/SC_rgb_jpeg.dcm": Refused(
        "the data set is implicit VR, the transfer syntax says explicit VR: readers that believe it find no element"
    ),
    "test_files/UN_sequence.dcm": _EXCERPT,
    "test_files/crayons.icc": _NOT_DICOM,
    "test_files/dicomdirtests/DICOMDIR": _DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-bigEnd": _DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-empty.dcm": _DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-implicit": _DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-nooffset": Refused(
        "the last item of the directory claims 248 bytes, but the file ends after 224"
    ),
    "test_files/dicomdirtests/DICOMDIR-nopatient": _DIRECTORY,
    "test_files/dicomdirtests/DICOMDIR-reordered": _DIRECTORY,
    "test_files/dicomdirtests/TINY_ALPHA/DICOMDIR": _DIRECTORY,
    "test_files/empty_charset_LEI.dcm": _EXCERPT,
    "test_files/meta_missing_tsyntax.dcm": Refused("TransferSyntaxUID, which PS3.10 7.1 requires, is absent"),
    "test_files/nested_priv_SQ.dcm": _EXCERPT,
    "test_files/no_meta.dcm": Refused(
        "a blank stands before a data set without preamble, prefix and File Meta Information"
    ),
    "test_files/no_meta_group_length.dcm": _EXCERPT,
    "test_files/priv_SQ.dcm": _EXCERPT,
    "test_files/rtplan.dump": _NOT_DICOM,
    "test_files/rtplan_truncated.dcm": Refused("the file ends within a sequence"),
    "test_files/rtstruct.dump": _NOT_DICOM,
    "test_files/test1.json": _NOT_DICOM,
    "test_files/test_PN.json": _NOT_DICOM,
    "test_files/zipMR.gz": _NOT_DICOM,
}

STORED: Final[dict[str, Stored]] = {
    **{f"{folder}/{name}": Stored() for folder, names in _WITHOUT_A_WARNING.items() for name in names.split()},
    **_WITH_A_WARNING,
}
