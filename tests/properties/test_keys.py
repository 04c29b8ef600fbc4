"""Keys hold whatever identifies or describes something, and nothing that a table refuses."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from shared.dicom.identifiers import check_uid
from shared.errors import BadRequest
from shared.services.partitions import check
from shared.storage import keys
from shared.storage.wire import literal

FORBIDDEN = re.compile(r"[/\\#?%\x00-\x1f\x7f-\x9f]")
LONGEST_KEY = 512

texts = st.text(max_size=64)
uids = st.from_regex(r"[0-9.]{0,63}[0-9]", fullmatch=True)
partitions = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
times = st.integers(0, 10**16 - 1)


def utf_16_units(key: str) -> int:
    return len(key.encode("utf-16-le", "surrogatepass")) // 2


@given(st.text(max_size=2000))
def test_escaped_values_are_legal_and_short(value: str) -> None:
    escaped = keys.escape(value)
    assert not FORBIDDEN.search(escaped)
    assert keys.SEPARATOR not in escaped


@given(partitions, texts)
def test_value_keys_fit(partition: str, value: str) -> None:
    assert utf_16_units(keys.value_partition(partition, value)) <= LONGEST_KEY


@given(texts, texts)
def test_different_values_have_different_keys(first: str, second: str) -> None:
    assert (keys.escape(first) == keys.escape(second)) == (first == second)


@given(texts, texts)
def test_prefix_of_a_value_is_a_prefix_of_its_key(prefix: str, rest: str) -> None:
    assert keys.escape(prefix + rest).startswith(keys.escape(prefix)) or len(prefix + rest) * 5 > 400


@given(partitions, texts, partitions, texts)
def test_no_value_reaches_another_partition(first: str, value: str, second: str, other: str) -> None:
    if first != second:
        assert keys.value_partition(first, value) != keys.value_partition(second, other)
        assert not keys.word_partition(second, other).startswith(f"{first}{keys.SEPARATOR}")


@given(partitions, uids, uids, uids)
def test_keys_of_rows_can_be_read_back(partition: str, study: str, series: str, sop_instance: str) -> None:
    assert keys.parse_study_partition(keys.study_partition(partition, study)) == (partition, study)
    row = keys.instance_row(series, sop_instance)
    assert keys.parse_instance_row(row) == (series, sop_instance)
    first, end = keys.rows_of_series(series)
    assert first <= row < end
    assert keys.HEAD_END <= row < keys.after(keys.HEAD_END)


@given(times, times, st.lists(uids, min_size=1, max_size=3))
def test_lookup_rows_are_newest_first(earlier: int, later: int, identifiers: list[str]) -> None:
    row = keys.lookup_row(earlier, tuple(identifiers))
    assert keys.parse_lookup_row(row) == (earlier, tuple(identifiers))
    if earlier < later:
        assert keys.lookup_row(later, tuple(identifiers)) < row


@given(st.integers(0, 10**18), uids, uids, uids)
def test_head_sorts_before_the_instances(cover: int, study: str, series: str, request: str) -> None:
    head = (keys.study_row(study), keys.series_row(series), keys.change_set_row(cover), keys.fence_row(request))
    assert all(row < keys.HEAD_END for row in (*head, keys.outbox_row(request)))


tricky = st.one_of(texts, uids, partitions, st.text(alphabet="0123456789.|/\\#?%'~ \x00\n\t", max_size=70))


@given(tricky)
def test_what_passes_for_an_identifier_or_a_partition_is_safe_in_a_key(text: str) -> None:
    """PART-5, WADO-11: neither needs escaping, for what a key cannot hold, or what separates its parts, is refused."""
    for validated in (check, lambda value: check_uid(value, "StudyInstanceUID")):
        try:
            taken = validated(text)
        except BadRequest:
            continue
        assert 0 < len(taken) <= 64
        assert not FORBIDDEN.search(taken)
        assert keys.SEPARATOR not in taken
        assert "'" not in taken


@given(partitions, uids, partitions, uids)
def test_no_study_of_a_partition_is_one_of_another(first: str, study: str, second: str, other: str) -> None:
    """PART-8."""
    same = (first, study) == (second, other)
    assert (keys.study_partition(first, study) == keys.study_partition(second, other)) == same


@given(partitions, texts, partitions, texts, st.sampled_from([keys.value_partition, keys.word_partition]))
def test_no_range_of_a_search_reaches_another_partition(
    first: str, prefix: str, second: str, value: str, key: Callable[[str, str], str]
) -> None:
    """A search by wildcard, range or word reads the keys from that of a prefix to what follows it."""
    start = key(first, prefix)
    if first != second:
        for other in (keys.value_partition(second, value), keys.word_partition(second, value)):
            assert not start <= other < keys.after(start)


@given(partitions, partitions, texts, times)
def test_what_lists_all_is_told_from_what_lists_a_value(partition: str, other: str, value: str, created: int) -> None:
    """A table of an extended query tag has both."""
    everything = keys.all_partition(partition, created)
    first = keys.all_partitions(partition)
    assert first <= everything < keys.after(first)
    assert keys.is_all_partition(everything)
    for key in (keys.value_partition(other, value), keys.word_partition(other, value)):
        assert not first <= key < keys.after(first)
        assert not keys.is_all_partition(key)


@given(uids, uids, uids)
def test_no_series_is_read_as_part_of_another(series: str, other: str, sop_instance: str) -> None:
    first, end = keys.rows_of_series(series)
    assert (first <= keys.instance_row(other, sop_instance) < end) == (series == other)


@given(st.text(max_size=64))
def test_a_text_in_a_filter_ends_where_it_ends(value: str) -> None:
    """OData 4.0 URL conventions 5.1.1.6.1: a quote in a string is doubled, so no value adds conditions to a filter."""
    quoted = literal(value)
    assert re.fullmatch(r"'(?:[^']|'')*'", quoted, re.DOTALL)
    assert quoted[1:-1].replace("''", "'") == value
