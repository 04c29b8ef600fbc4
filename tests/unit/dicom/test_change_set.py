"""Change sets applied to stored files and metadata (UPD-53, UPD-56, D-65..D-67). The oracle is pydicom."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from shared.dicom.change_set import Changes, FilePatcher, HeadLayout, merge, patch_metadata
from shared.dicom.element_codec import EXPLICIT_VR_LITTLE_ENDIAN, ElementEncoding
from shared.dicom.element_list import split
from shared.dicom.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, end_of_file_meta
from shared.dicom.rewriting import LONG_BYTES, MAX_HELD_BYTES, Piece, merged
from shared.dicom.tags import ITEM, SEQUENCE_DELIMITATION, SPECIFIC_CHARACTER_SET
from shared.errors import InvalidDicom
from tests import builders
from tests.patching import (
    CHARACTER_SETS,
    IMPLEMENTATION,
    TRANSFER_SYNTAXES,
    build,
    differences,
    metadata,
    patch,
    read,
    sample_files,
    scan,
)

PLAIN: Changes = {
    "00080050": {"vr": "SH", "Value": ["ACC-1"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Roe^Jane"}]},
    "00100030": {"vr": "DA"},
    "00101020": {"vr": "DS", "Value": [1.75]},
    "00101001": {"vr": "PN", "Value": [{"Alphabetic": "Roe"}, {"Alphabetic": "Poe^Jane", "Phonetic": "po"}]},
    "00403001": {"vr": "LO", "Value": ["VIP"]},
}
# No character set but UTF-8 and GB18030 has all of these.
GLOBAL: Changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ωμέγα^Жанна", "Ideographic": "山田^ñ"}]}}


def tags(changes: Changes) -> set[int]:
    return {int(tag, 16) for tag in changes}


def element(tag: int, vr: str, value: bytes) -> bytes:
    return EXPLICIT_VR_LITTLE_ENDIAN.element(tag, vr, value)


def raw_file(*elements: bytes, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A file with these encoded elements as its data set."""
    uid = transfer_syntax.encode()
    file_meta = element(0x00020010, "UI", uid + b"\0" * (len(uid) % 2))
    length = element(0x00020000, "UL", struct.pack("<L", len(file_meta)))
    return bytes(128) + b"DICM" + length + file_meta + b"".join(elements)


def sequence(tag: int, *elements: bytes) -> bytes:
    """A sequence of one item, with lengths."""
    item = b"".join(elements)
    return element(tag, "SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item)


def dataset_of(file: bytes) -> bytes:
    end = end_of_file_meta(file, is_deflated=False)
    assert end is not None
    return file[end:]


class TestElements:
    """UPD-53: a changed element is added or replaced as a whole; everything else stays."""

    @pytest.mark.parametrize("changes", [PLAIN, GLOBAL], ids=["plain", "global"])
    def test_only_changed_elements_differ(self, changes: Changes) -> None:
        assert len(sample_files()) > 150
        wrong = {}
        for name, file in sample_files().items():
            before, after = read(file), read(patch(file, changes))
            changed = tags(changes) | ({SPECIFIC_CHARACTER_SET} if changes is GLOBAL else set())
            wrong[name] = differences(before, after, changed)
            wrong[name] += differences(before.file_meta, after.file_meta, IMPLEMENTATION)
        assert {name: found for name, found in wrong.items() if found} == {}

    @pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES.values(), ids=TRANSFER_SYNTAXES)
    def test_values(self, transfer_syntax: UID) -> None:
        patched = read(patch(build("ISO_IR 100", "Müller", transfer_syntax), PLAIN))
        assert patched.PatientName == "Roe^Jane"
        assert patched.OtherPatientNames == ["Roe", "Poe^Jane==po"]
        assert patched["PatientBirthDate"].is_empty
        assert (patched["PatientSize"].VR, patched.PatientSize) == ("DS", 1.75)
        assert patched[0x00403001].value == "VIP"
        assert patched.file_meta.TransferSyntaxUID == transfer_syntax

    @pytest.mark.parametrize("transfer_syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_elements_are_in_ascending_order(self, transfer_syntax: UID) -> None:
        patched = dataset_of(patch(build("ISO_IR 100", "Müller", transfer_syntax), PLAIN))
        order = [tag for tag, _ in split(patched, 0, ElementEncoding.of(transfer_syntax))]
        assert order == sorted(set(order))

    def test_elements_behind_all_others_are_in_order_too(self) -> None:
        file = raw_file(element(0x00080050, "SH", b""))
        order = [tag for tag, _ in split(dataset_of(patch(file, PLAIN)), 0, EXPLICIT_VR_LITTLE_ENDIAN)]
        assert order == sorted(tags(PLAIN))

    def test_value_of_odd_length_is_padded(self) -> None:
        changes: Changes = {"00100020": {"vr": "LO", "Value": ["ODD"]}}
        patched = patch(raw_file(element(0x00100020, "LO", b"OLD-ID")), changes)
        assert dataset_of(patched) == element(0x00100020, "LO", b"ODD ")

    def test_long_number_fits_its_vr(self) -> None:
        changes: Changes = {"00101030": {"vr": "DS", "Value": [72.12345678901234567]}}
        patched = dataset_of(patch(raw_file(element(0x00080050, "SH", b"")), changes))
        assert patched.endswith(element(0x00101030, "DS", b"72.1234567890124"))

    def test_element_that_stands_behind_the_head_is_replaced_too(self) -> None:
        stale = element(0x00100010, "PN", b"OLD^NAME")
        title = element(0x00420010, "ST", b"TITLE ")
        patched = dataset_of(patch(raw_file(element(0x00080050, "SH", b""), title, stale), {"00100010": {"vr": "PN"}}))
        assert patched == element(0x00080050, "SH", b"") + element(0x00100010, "PN", b"") + title

    def test_elements_all_of_which_stand_behind_the_head(self) -> None:
        """The file is out of order, and its head ends with the File Meta Information."""
        title, study = element(0x00420010, "ST", b"TITLE "), element(0x0020000D, "UI", b"1.2\0")
        file = raw_file(title, study)
        layout = HeadLayout.of(scan(file))
        changes: Changes = {"00100010": {"vr": "PN"}}
        patched = patch(file, changes)
        assert dataset_of(patched) == element(0x00100010, "PN", b"") + title + study
        patcher = FilePatcher(layout, changes, skips=True)
        pieces = patcher.feed(file[: layout.head_length]) + patcher.finish()
        assert merged(pieces) == [patched[: -len(title + study)]]

    def test_later_change_set_wins_with_whole_elements(self) -> None:
        earlier: Changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A", "Phonetic": "a"}]}}
        earlier["00100020"] = {"vr": "LO", "Value": ["1"]}
        later: Changes = {"00080050": {"vr": "SH"}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "B"}]}}
        assert list(merge(earlier, later).items()) == [
            ("00080050", {"vr": "SH"}),
            ("00100010", {"vr": "PN", "Value": [{"Alphabetic": "B"}]}),
            ("00100020", {"vr": "LO", "Value": ["1"]}),
        ]


class TestCharacterSets:
    """D-66, UPD-76: values are encoded in the instance's character set, or the instance switches to UTF-8 as a whole."""

    @pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES.values(), ids=TRANSFER_SYNTAXES)
    @pytest.mark.parametrize(("character_sets", "name"), CHARACTER_SETS.values(), ids=CHARACTER_SETS)
    @pytest.mark.parametrize("undefined_length", [False, True], ids=["lengths", "no-lengths"])
    def test_switch_keeps_all_other_text(
        self, character_sets: str | list[str] | None, name: str, transfer_syntax: UID, undefined_length: bool
    ) -> None:
        file = build(character_sets, name, transfer_syntax, undefined_length)
        before, after = read(file), read(patch(file, GLOBAL))
        assert differences(before, after, {*tags(GLOBAL), SPECIFIC_CHARACTER_SET}) == []
        assert after.PatientName == "Ωμέγα^Жанна=山田^ñ"
        assert after.SpecificCharacterSet == ("GB18030" if character_sets == "GB18030" else "ISO_IR 192")

    @pytest.mark.parametrize(("character_sets", "name"), CHARACTER_SETS.values(), ids=CHARACTER_SETS)
    def test_value_that_can_be_expressed_keeps_the_character_set(
        self, character_sets: str | list[str] | None, name: str
    ) -> None:
        file = build(character_sets, "Muller")
        groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False))
        changes: Changes = {
            "00100010": {"vr": "PN", "Value": [groups]},
            "00104000": {"vr": "LT", "Value": [f"a {name}\r\n{name} b"]},
        }
        before, after = read(file), read(patch(file, changes))
        assert differences(before, after, tags(changes)) == []
        assert after.PatientName == name
        assert after.PatientComments == f"a {name}\r\n{name} b"

    @pytest.mark.parametrize("character_sets", [None, "ISO_IR 6", "", ["", "ISO 2022 IR 6"]])
    def test_without_a_character_set_text_is_ascii(self, character_sets: str | list[str] | None) -> None:
        changes: Changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller"}]}}
        after = read(patch(build(character_sets, "plain"), changes))
        assert (after.PatientName, after.SpecificCharacterSet) == ("Müller", "ISO_IR 192")

    @pytest.mark.parametrize(("character_sets", "name"), CHARACTER_SETS.values(), ids=CHARACTER_SETS)
    def test_plain_ascii_never_switches(self, character_sets: str | list[str] | None, name: str) -> None:
        file = build(character_sets, name)
        before, after = read(file), read(patch(file, PLAIN))
        assert before.get("SpecificCharacterSet") == after.get("SpecificCharacterSet")
        assert differences(before, after, tags(PLAIN)) == []

    def test_character_that_reads_differently_switches(self) -> None:
        """The yen sign has the code of the backslash in ISO_IR 13."""
        changes: Changes = {"00104000": {"vr": "LT", "Value": ["100¥"]}}
        after = read(patch(build("ISO_IR 13", "ﾔﾏﾀﾞ"), changes))
        assert (after.PatientComments, after.SpecificCharacterSet) == ("100¥", "ISO_IR 192")

    def test_item_with_a_character_set_of_its_own_keeps_it(self) -> None:
        """PS3.3 C.12.1.1.2: it holds for the items within, too."""
        greek = element(0x00080104, "LO", "Διονυσιος".encode("iso8859_7") + b" ")
        own = element(0x00080005, "CS", b"ISO_IR 126")
        procedure = sequence(0x00081032, own, greek, sequence(0x0040A170, greek))
        latin = element(0x00081030, "LO", "Schädel.".encode("latin-1"))
        file = raw_file(element(0x00080005, "CS", b"ISO_IR 100"), latin, procedure)
        patched = patch(file, GLOBAL)
        assert patched.count(greek) == 2
        assert read(patched).StudyDescription == "Schädel."
        assert differences(read(file), read(patched), {*tags(GLOBAL), SPECIFIC_CHARACTER_SET}) == []

    def test_private_creator_is_text_without_an_explicit_vr(self) -> None:
        """PS3.5 7.8.1."""
        implicit = ElementEncoding.of(ImplicitVRLittleEndian).element
        creator = "MÜLLER".encode("latin-1")
        file = raw_file(
            implicit(0x00080005, "CS", b"ISO_IR 100"),
            implicit(0x00090010, "LO", creator),
            transfer_syntax=ImplicitVRLittleEndian,
        )
        assert read(patch(file, GLOBAL))[0x00090010].value == "MÜLLER"

    def test_known_text_of_unknown_vr_is_re_encoded(self) -> None:
        """Text of a public element may be labelled UN (PS3.5 6.2.2)."""
        file = raw_file(
            element(0x00080005, "CS", b"ISO_IR 100"),
            element(0x00081030, "UN", "Schädel ".encode("latin-1")),
            element(0x00420010, "UN", "Lösung  ".encode("latin-1")),
        )
        patched = read(patch(file, GLOBAL))
        assert (patched.StudyDescription, patched.DocumentTitle) == ("Schädel", "Lösung")

    @pytest.mark.parametrize("length", ["defined", "undefined"])
    def test_items_in_implicit_vr_within_explicit_vr(self, length: str) -> None:
        """Some writers change to implicit VR within sequences."""
        text = ElementEncoding.of(ImplicitVRLittleEndian).element(0x00080104, "LO", "Lösung".encode("latin-1") + b"  ")
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(text)) + text
        head = element(0x00081032, "SQ", item)
        if length == "undefined":
            item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + text + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
            end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
            head = struct.pack("<HH2sHL", 0x0008, 0x1032, b"SQ", 0, 0xFFFFFFFF) + item + end
        file = raw_file(element(0x00080005, "CS", b"ISO_IR 100"), head, element(0x00480105, "SQ", item))
        patched = read(patch(file, GLOBAL, (1,)))
        assert patched[0x00081032].value[0].CodeMeaning == "Lösung"
        assert patched[0x00480105].value[0].CodeMeaning == "Lösung"

    def test_private_sequence_in_implicit_vr_keeps_the_byte_order(self) -> None:
        """It is of unknown VR only because implicit VR does not say it, so it is not little endian (PS3.5 6.2.2)."""
        big = ElementEncoding(is_implicit_vr=True, is_little_endian=False)
        text = big.element(0x00080104, "LO", "Lösung".encode("latin-1"))
        private = big.header(0x00091001, "", 0xFFFFFFFF) + big.header(ITEM, "", len(text)) + text
        item = private + big.header(SEQUENCE_DELIMITATION, "", 0)
        procedure = ElementEncoding.of(ExplicitVRBigEndian).element(
            0x00081032, "SQ", big.header(ITEM, "", len(item)) + item
        )
        character_set = ElementEncoding.of(ExplicitVRBigEndian).element(0x00080005, "CS", b"ISO_IR 100")
        patched = patch(raw_file(character_set, procedure, transfer_syntax=ExplicitVRBigEndian), GLOBAL)
        assert big.element(0x00080104, "LO", "Lösung ".encode()) in patched

    def test_sequence_of_unknown_vr_is_little_endian(self) -> None:
        """PS3.5 6.2.2."""
        little = ElementEncoding(is_implicit_vr=True, is_little_endian=True)
        big = ElementEncoding.of(ExplicitVRBigEndian)
        text = little.element(0x00080104, "LO", "Lösung".encode("latin-1"))
        unknown = big.header(0x00091001, "UN", 0xFFFFFFFF) + little.header(ITEM, "", len(text)) + text
        unknown += little.header(SEQUENCE_DELIMITATION, "", 0)
        character_set = big.element(0x00080005, "CS", b"ISO_IR 100")
        patched = patch(raw_file(character_set, unknown, transfer_syntax=ExplicitVRBigEndian), GLOBAL)
        assert little.element(0x00080104, "LO", "Lösung ".encode()) in patched

    def test_character_set_that_stands_behind_the_head_is_replaced_too(self) -> None:
        title, stale = element(0x00420010, "ST", b"TITLE "), element(0x00080005, "CS", b"ISO_IR 100")
        patched = patch(raw_file(title, stale), GLOBAL)
        assert stale not in patched
        assert read(patched).PatientName == "Ωμέγα^Жанна=山田^ñ"

    def test_fragments_of_unknown_vr_pass_through(self) -> None:
        fragments = struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, 4) + b"\xff\xd8\xe9\xe9"
        pixel_data = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"UN", 0, 0xFFFFFFFF) + fragments
        pixel_data += struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
        text = element(0x00420010, "ST", "Lösung".encode("latin-1") + b"  ")
        file = raw_file(element(0x00080005, "CS", b"ISO_IR 100"), text, pixel_data)
        assert patch(file, GLOBAL).endswith(pixel_data)

    def test_zeros_behind_the_data_set(self) -> None:
        text = element(0x00420010, "ST", "Lösung".encode("latin-1") + b"  ")
        for zeros in range(20):
            file = raw_file(element(0x00080005, "CS", b"ISO_IR 100"), text, bytes(zeros))
            assert read(patch(file, GLOBAL)).DocumentTitle == "Lösung"

    def test_text_that_outgrows_its_length_field_becomes_unknown(self) -> None:
        """PS3.5 6.2.2: a value beyond the 16-bit length of its VR is encoded as UN."""
        file = raw_file(
            element(0x00080005, "CS", b"ISO_IR 100"), element(0x00204000, "LT", "é".encode("latin-1") * 40000)
        )
        patched = dataset_of(patch(file, GLOBAL))
        assert patched.endswith(struct.pack("<HH2sHL", 0x0020, 0x4000, b"UN", 0, 80000) + "é".encode() * 40000)


class TestEncoding:
    """What stays of the file's encoding, and what is recomputed."""

    def test_file_meta(self) -> None:
        """D-67, UPD-75."""
        file = build("ISO_IR 100", "Müller")
        before, after = read(file), read(patch(file, PLAIN))
        assert after.preamble == bytes(128)
        assert after.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
        assert after.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
        assert after.file_meta.PrivateInformation == before.file_meta.PrivateInformation
        end = end_of_file_meta(patch(file, PLAIN), is_deflated=False)
        assert end == 128 + 4 + 12 + after.file_meta.FileMetaInformationGroupLength

    def test_everything_behind_the_head_is_untouched(self) -> None:
        file = build("ISO_IR 100", "Müller")
        changes: Changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Jäger"}]}}
        assert patch(file, changes).endswith(file[scan(file).head_length :])
        plain = build("ISO_IR 100", "Muller", undefined_length=False)
        assert patch(plain, GLOBAL).endswith(plain[scan(plain).head_length :])

    def test_group_lengths_grow_with_their_groups(self) -> None:
        """PS3.5 7.2; group 0040 goes on behind the head."""
        name, later = element(0x00100010, "PN", b"A^B "), element(0x0040A07A, "SQ", b"")
        file = raw_file(
            element(0x00080000, "UL", struct.pack("<L", 8)),
            element(0x00080050, "SH", b""),
            element(0x00100000, "UL", struct.pack("<L", len(name))),
            name,
            element(0x00400000, "UL", struct.pack("<L", len(later))),
            later,
        )
        changes: Changes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "ABCDEF"}]}, "00403001": {"vr": "LO"}}
        assert dataset_of(patch(file, changes)) == b"".join(
            [
                element(0x00080000, "UL", struct.pack("<L", 8)),
                element(0x00080050, "SH", b""),
                element(0x00100000, "UL", struct.pack("<L", 14)),
                element(0x00100010, "PN", b"ABCDEF"),
                element(0x00400000, "UL", struct.pack("<L", 8 + len(later))),
                element(0x00403001, "LO", b""),
                later,
            ]
        )

    def test_group_lengths_of_a_rewritten_file_are_left_out(self) -> None:
        """They are retired, and not known before the end of their groups."""
        text = element(0x00420010, "ST", "Lösung".encode("latin-1") + b"  ")
        file = raw_file(
            element(0x00080000, "UL", struct.pack("<L", 18)),
            element(0x00080005, "CS", b"ISO_IR 100"),
            element(0x00420000, "UL", struct.pack("<L", len(text))),
            text,
            sequence(0x00480105, element(0x00080000, "UL", bytes(4)), element(0x00080104, "LO", b"plain ")),
        )
        patched = read(patch(file, GLOBAL))
        assert [tag for tag in patched if tag.tag.element == 0] == []
        assert [tag for tag in patched[0x00480105].value[0] if tag.tag.element == 0] == []
        assert patched.DocumentTitle == "Lösung"

    def test_group_length_that_is_none_is_left_out(self) -> None:
        """It is passed over, however long it is: nothing can be said of its group."""
        odd = element(0x00100000, "OB", bytes(5000))
        new: Changes = {"00100020": {"vr": "LO", "Value": ["NEW "]}}
        assert dataset_of(patch(raw_file(odd), new, (700,))) == element(0x00100020, "LO", b"NEW ")

    def test_group_length_of_a_long_group_is_left_out(self) -> None:
        """What a group has grown by is known at its end, and no more of it is held than fits; others stay."""
        long = element(0x00081140, "OB", bytes(MAX_HELD_BYTES))
        stays = element(0x00090000, "UL", struct.pack("<L", 12)) + element(0x00090010, "LO", b"MAKE")
        file = raw_file(element(0x00080000, "UL", struct.pack("<L", len(long))), long, stays)
        changes: Changes = {"00081030": {"vr": "LO"}}
        assert dataset_of(patch(file, changes, (1000,))) == element(0x00081030, "LO", b"") + long + stays

    def test_replaced_element_without_a_length_is_replaced_to_its_end(self) -> None:
        """PS3.5 6.2.2: a value of unknown VR may be a sequence, whatever the dictionary says of its element."""
        inner = ElementEncoding(is_implicit_vr=True, is_little_endian=True).element(0x00080100, "SH", b"CODE")
        items = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
        odd = struct.pack("<HH2sHL", 0x0010, 0x0020, b"UN", 0, 0xFFFFFFFF) + items
        after = element(0x00101010, "AS", b"042Y")
        new: Changes = {"00100020": {"vr": "LO", "Value": ["NEW "]}}
        assert dataset_of(patch(raw_file(odd, after), new, (3,))) == element(0x00100020, "LO", b"NEW ") + after

    def test_sequence_without_text_to_re_encode_stays_as_it_is(self) -> None:
        codes = sequence(0x00081032, element(0x00080100, "SH", b"T-A0"), element(0x00280010, "US", b"\xe9\xe9"))
        file = raw_file(element(0x00080005, "CS", b"ISO_IR 100"), codes)
        assert codes in patch(file, GLOBAL)

    def test_private_elements_before_the_patient_pass_through(self) -> None:
        nested = struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0xFFFFFFFF, 0x0009, 0x1002, 4) + b"\xe9\xe9\xe9\xe9"
        nested += struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        private = b"".join(
            [
                element(0x00090010, "LO", b"MAKER "),
                element(0x00091001, "OB", bytes(range(256)) * 20000),
                struct.pack("<HH2sHL", 0x0009, 0x1003, b"UN", 0, 0xFFFFFFFF) + nested,
            ]
        )
        patched = patch(raw_file(private, element(0x00100010, "PN", b"A^B ")), GLOBAL, (1000,))
        assert private in patched

    def test_deflated_data_set(self) -> None:
        """PS3.5 A.5: a raw deflate stream of even length."""
        for length in range(40):
            changes: Changes = {"00100020": {"vr": "LO", "Value": ["1" * length]}}
            patched = patch(build("ISO_IR 100", "Müller", DeflatedExplicitVRLittleEndian), changes, (7,))
            assert len(patched) % 2 == 0
            inflater = zlib.decompressobj(-15)
            plain = patch(build("ISO_IR 100", "Müller"), changes)
            assert inflater.decompress(dataset_of(patched)) == dataset_of(plain)
            assert inflater.unused_data in (b"", b"\0")

    def test_deflated_data_set_that_looks_like_file_meta(self) -> None:
        """Only the group length of the File Meta Information tells where deflated bytes begin."""
        changes: Changes = {"00100020": {"vr": "LO", "Value": ["NEW"]}}
        deflater = zlib.compressobj(wbits=-15)
        # An empty block with fixed codes and an empty stored one begin with the number of the group.
        empty_blocks = b"\x02\x00\x00\x00\xff\xff"
        deflated = empty_blocks + deflater.compress(element(0x00100020, "LO", b"OLD ")) + deflater.flush()
        file = raw_file(transfer_syntax=DeflatedExplicitVRLittleEndian) + deflated
        patched = patch(file, changes)
        end = end_of_file_meta(patched, is_deflated=True)
        assert end is not None
        assert zlib.decompress(patched[end:], -15) == element(0x00100020, "LO", b"NEW ")

    @pytest.mark.parametrize("changes", [PLAIN, GLOBAL], ids=["plain", "global"])
    @pytest.mark.parametrize("length", [0, LONG_BYTES - 1, LONG_BYTES, 3 * LONG_BYTES])
    def test_long_values_in_the_head_need_not_be_read(self, changes: Changes, length: int) -> None:
        """Ranges of the stored file stand for them: a patched file has a length before all of it was read (D-29)."""
        private = element(0x00091001, "OB", bytes(length)) + element(0x00091002, "OW", bytes(4))
        private += sequence(0x00091003, element(0x00091004, "OB", bytes(length)))
        file = raw_file(element(0x00080005, "CS", b"ISO_IR 100"), private, element(0x00100010, "PN", b"A^B "), private)
        end = scan(file).head_length
        fed, pieces = 0, list[Piece]()
        patcher = FilePatcher(HeadLayout.of(scan(file)), changes, skips=True)
        while (begin := patcher.wanted) < end:
            chunk = file[begin : min(begin + 1000, end)]
            fed += len(chunk)
            pieces += patcher.feed(chunk)
        pieces = merged([*pieces, *patcher.finish()])
        patched = b"".join(file[piece.start : piece.stop] if isinstance(piece, range) else piece for piece in pieces)
        assert patched == patch(file, changes)
        assert len(pieces) <= 9
        assert fed < 5000 or length < LONG_BYTES

    @pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 64, 1000])
    @pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES.values(), ids=TRANSFER_SYNTAXES)
    def test_chunks_of_the_input_do_not_matter(self, chunk_size: int, transfer_syntax: UID) -> None:
        file = build("ISO_IR 100", "Müller", transfer_syntax)
        assert patch(file, GLOBAL, (chunk_size,)) == patch(file, GLOBAL, (len(file),))

    @pytest.mark.parametrize("length", [100, 140, 300, -600, -7])
    @pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES.values(), ids=TRANSFER_SYNTAXES)
    def test_incomplete_file_is_an_error(self, length: int, transfer_syntax: UID) -> None:
        """What is rewritten never passes for a whole file when the stored one breaks off."""
        file = build("ISO_IR 100", "Müller", transfer_syntax)
        with pytest.raises(InvalidDicom):
            patch(file[:length], GLOBAL, layout=HeadLayout.of(scan(file)))

    @pytest.mark.parametrize("transfer_syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
    def test_incomplete_file_that_needs_no_rewriting(self, transfer_syntax: UID) -> None:
        file = build("ISO_IR 100", "Müller", transfer_syntax)
        layout = HeadLayout.of(scan(file))
        with pytest.raises(InvalidDicom):
            patch(file[: layout.head_length // 2], PLAIN, layout=layout)
        if transfer_syntax.is_deflated:
            with pytest.raises(InvalidDicom):
                patch(file[:-7], PLAIN, layout=layout)

    def test_incomplete_header_is_an_error(self) -> None:
        text = element(0x00420010, "ST", "Lösung".encode("latin-1") + b"  ")
        file = raw_file(element(0x00080005, "CS", b"ISO_IR 100"), text, element(0x00420014, "LO", b""))
        with pytest.raises(InvalidDicom):
            patch(file[:-5], GLOBAL, layout=HeadLayout.of(scan(file)))


def deep(levels: int) -> bytes:
    """A document without pixels whose text stands this many sequences deep, and behind the head (as in SR and RT)."""
    content = builders.item(TextValue="Schädel", ValueType="TEXT")
    for _ in range(levels):
        content = builders.item(ContentSequence=[content, builders.item(TextValue="plain")], ValueType="CONTAINER")
    structure = builders.item(ROIName="Brüst", ROINumber=1)
    return builders.instance(
        rows=0,
        SpecificCharacterSet="ISO_IR 100",
        ContentSequence=[content],
        StructureSetROISequence=[structure],
    )


class TestOtherReaders:
    """What dcmtk says of the structure of patched files."""

    @pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmtk is not installed")
    @pytest.mark.parametrize("changes", [PLAIN, GLOBAL], ids=["plain", "global"])
    def test_dcmdump_has_nothing_to_complain_of(self, changes: Changes, tmp_path: Path) -> None:
        files = [
            build("ISO_IR 100", "Müller", syntax, length)
            for syntax in TRANSFER_SYNTAXES.values()
            for length in (False, True)
        ]
        files += [deep(20), builders.instance(frames=3, transfer_syntax=builders.RLE)]
        for number, file in enumerate(files):
            (tmp_path / f"{number}.dcm").write_bytes(patch(file, changes))
        names = [str(path) for path in sorted(tmp_path.iterdir())]
        dumped = subprocess.run(["dcmdump", "-q", *names], capture_output=True, check=False)
        assert (dumped.returncode, dumped.stderr) == (0, b"")
        assert dumped.stdout.count(b"(0010,0010) PN [") == len(files)

    def test_text_in_deep_sequences_behind_the_head(self) -> None:
        file = deep(30)
        before, after = read(file), read(patch(file, GLOBAL, (5,)))
        assert differences(before, after, {*tags(GLOBAL), SPECIFIC_CHARACTER_SET}) == []
        assert "Schädel" in str(after)
        assert "Brüst" in str(after)

    @pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES.values(), ids=TRANSFER_SYNTAXES)
    def test_longest_values(self, transfer_syntax: UID) -> None:
        """UPD-53: 10,240 characters of LT, in one byte each and in more."""
        for text in ("a" * 10_239, "é" * 10_240, "Ω" * 10_240):
            changes: Changes = {
                "00104000": {"vr": "LT", "Value": [text]},
                "00102180": {"vr": "SH", "Value": ["x" * 16]},
            }
            file = build("ISO_IR 100", "Müller", transfer_syntax)
            before, after = read(file), read(patch(file, changes))
            assert after.PatientComments == text
            assert differences(before, after, {*tags(changes), SPECIFIC_CHARACTER_SET}) == []


class TestMetadata:
    """UPD-56: the metadata of an updated instance is that of its patched file."""

    @pytest.mark.parametrize("changes", [PLAIN, GLOBAL], ids=["plain", "global"])
    def test_metadata_of_sample_files(self, changes: Changes) -> None:
        wrong = []
        for name, file in sample_files().items():
            before, after = scan(file), scan(patch(file, changes))
            if patch_metadata(metadata(before), changes, before.character_sets) != metadata(after):
                wrong.append(name)
        assert wrong == []

    @pytest.mark.parametrize(("character_sets", "name"), CHARACTER_SETS.values(), ids=CHARACTER_SETS)
    def test_character_set_changes_when_the_file_switches(
        self, character_sets: str | list[str] | None, name: str
    ) -> None:
        file = build(character_sets, name)
        before, after = scan(file), scan(patch(file, GLOBAL))
        patched = patch_metadata(metadata(before), GLOBAL, before.character_sets)
        assert patched == metadata(after)
        is_utf_8 = b'"00080005":{"vr":"CS","Value":["ISO_IR 192"]}' in patched
        assert is_utf_8 == (character_sets != "GB18030")
