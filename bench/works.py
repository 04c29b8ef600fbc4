"""The pieces of work that are measured, section by section. Each section stores what it needs first, which nobody measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import requests
from pydicom.uid import generate_uid

from bench import archive, emulator
from bench.measure import ROUNDS, Step, Work
from bench.servers import Server, post
from tests import builders
from tests.support.dicomweb import ANY_FILES, Uids, multipart

JSON = "application/dicom+json"
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
JPEG = "image/jpeg"
CLIENTS = 8
LARGE_FRAMES = 1200
"""Of 256 KiB: 300 MiB."""


@dataclass(frozen=True, slots=True)
class Sizes:
    rounds: int = ROUNDS
    many: int = 1000
    studies: tuple[int, ...] = (100, 1_000, 10_000)
    large: bool = True
    studies_of_an_update: int = 0


QUICK = Sizes(rounds=3, many=100, studies=(100,), large=False)
FULL = Sizes(studies=(100, 1_000, 10_000, 50_000), studies_of_an_update=50)


def works(servers: Sequence[Server], sizes: Sizes, section: str = "") -> Iterator[Work]:
    """All works in their order, or those of one section. To be taken one by one: the next one's data is stored only then."""
    for name in [section] if section else SECTIONS:
        yield from SECTIONS[name](servers, sizes)


def _platform(_: Sequence[Server], sizes: Sizes) -> Iterator[Work]:
    """What is not the service's own: the worker library, the local host, the client's side."""

    def nothing(server: Server, _: int) -> list[Step]:
        return [partial(_get, server, f"/studies/{generate_uid()}/metadata", JSON, 404)] * 50

    yield Work("a study that is not there: 404", nothing, rounds=sizes.rounds)
    yield from emulator.works(sizes.rounds, large=sizes.large)


def _store(_: Sequence[Server], sizes: Sizes) -> Iterator[Work]:
    def stores(side: int, requests: int, files: int, studies: int) -> Callable[[Server, int], list[Step]]:
        """So many requests with so many files each, to so many studies of one series in turn."""

        def steps(server: Server, _: int) -> list[Step]:
            names = [(generate_uid(), generate_uid()) for _ in range(studies)]
            bodies = [
                _instances(*names[number % studies], files, side, first=number * files + 1)
                for number in range(requests)
            ]
            return [partial(post, server, *multipart(body)) for body in bodies]

        return steps

    rounds = sizes.rounds
    yield Work("store 512 KB", stores(HALF_MIB, 40, 1, 1), rounds=rounds)
    yield Work("store 512 KB, 10 a request", stores(HALF_MIB, 4, 10, 1), items=10, rounds=rounds)
    yield Work("store 512 KB, 8 clients", stores(HALF_MIB, 80, 1, CLIENTS), clients=CLIENTS, rounds=rounds)
    yield Work("store 512 KB, 8 clients, 10 a request", stores(HALF_MIB, 16, 10, CLIENTS), 10, CLIENTS, rounds)
    yield Work("store 4 KB, a study each", stores(FOUR_KIB, 50, 1, 50), rounds=rounds)
    yield Work("store 4 KB, a study each, 8 clients", stores(FOUR_KIB, 80, 1, 80), clients=CLIENTS, rounds=rounds)
    yield Work("store 4 KB, 8 clients, 10 a request", stores(FOUR_KIB, 16, 10, CLIENTS), 10, CLIENTS, rounds)


def _retrieve(servers: Sequence[Server], sizes: Sizes) -> Iterator[Work]:
    study, series = generate_uid(), (generate_uid(), generate_uid())
    first = _store_in_all(servers, study, 50, series[0])
    _store_in_all(servers, study, 50, series[1])
    path = first.instance_path

    rounds = sizes.rounds
    yield Work("retrieve 512 KB", _gets(path, ANY_FILES, 20), rounds=rounds)
    yield Work("retrieve a series of 50 x 512 KB", _gets(first.series_path, ANY_FILES), rounds=rounds)
    yield Work("retrieve a study of 100 x 512 KB", _gets(first.study_path, ANY_FILES), rounds=rounds)
    yield Work("frame of 512 KB", _gets(f"{path}/frames/1", FRAMES, 20), rounds=rounds)
    yield Work("rendered frame of 512 KB", _gets(f"{path}/frames/1/rendered", JPEG, 10), rounds=rounds)
    yield Work("metadata of 100 instances, first time", _gets(f"/studies/{study}/metadata", JSON), rounds=1)
    yield Work("metadata of 100 instances, again", _gets(f"/studies/{study}/metadata", JSON, 5), rounds=rounds)
    yield Work("search the instances of a study", _gets(f"/studies/{study}/instances?limit=100", JSON), rounds=rounds)


def _large(servers: Sequence[Server], sizes: Sizes) -> Iterator[Work]:
    """An object of 300 MiB."""
    if not sizes.large:
        return
    files = [builders.instance(rows=512, columns=512, frames=LARGE_FRAMES) for _ in range(2)]
    bodies = [multipart([file]) for file in files]
    paths = [Uids.of(file).instance_path for file in files]
    yield Work("store 300 MiB", lambda server, number: [partial(post, server, *bodies[number])], rounds=2)

    def gets(path: str, accept: str) -> Callable[[Server, int], list[Step]]:
        return lambda server, number: [partial(_get, server, paths[number % 2] + path, accept)]

    yield Work("frame of 300 MiB, cold", gets("/frames/900", FRAMES), rounds=2)
    yield Work("frame of 300 MiB, again", gets("/frames/1000", FRAMES), rounds=sizes.rounds)
    yield Work("rendered frame of 300 MiB", gets("/frames/1000/rendered", JPEG), rounds=sizes.rounds)
    yield Work("retrieve 300 MiB", gets("", ANY_FILES), rounds=2)


def _search(servers: Sequence[Server], sizes: Sizes) -> Iterator[Work]:
    stored = 0
    for count in sizes.studies:
        for server in servers:
            archive.fill(server, stored, count)
        stored = count
        for kind, query in {
            "PatientID": "PatientID=P00000",
            "date range": f"StudyDate={archive.day(0)}-{archive.day(0)}",
            "beginning of a name": "PatientName=Doe00000*",
            "part of a name": "PatientName=*e00000*",
            "modality, half of all": "ModalitiesInStudy=MR",
            "no filter": "",
        }.items():
            name, path = f"search {count:,} studies: {kind}", f"/studies?{query}&limit=100"
            yield Work(name, _gets(path, JSON, 5), rounds=sizes.rounds)
            if kind == "PatientID":
                yield emulator.search(name, "P00000", 100, sizes.rounds)
            if count == max(sizes.studies):
                nothing = _gets(f"/partitions/{archive.EMPTY_PARTITION}{path}", JSON, 5, 204)
                yield Work(f"search {count:,}: {kind}, no hit", nothing, rounds=sizes.rounds, peer=False)


def _update(servers: Sequence[Server], sizes: Sizes) -> Iterator[Work]:
    for count in sorted({100, sizes.many}):
        study = generate_uid()
        _store_in_all(servers, study, count, generate_uid())

        def update(server: Server, number: int, study: str = study) -> list[Step]:
            return [lambda: server.change_name([study], f"New^{number}")]

        def delete(server: Server, _: int, study: str = study) -> list[Step]:
            return [lambda: server.delete(study)]

        if count > 100:
            path = f"/studies/{study}/metadata"
            first = f"metadata of {count:,} instances"
            yield Work(f"{first}, first time", _gets(path, JSON), rounds=1)
            yield Work(f"{first}, again", _gets(path, JSON), rounds=sizes.rounds)
        yield Work(f"change the name in {count:,} x 512 KB", update, rounds=3)
        yield Work(f"delete a study of {count:,} x 512 KB", delete, rounds=1)
    if sizes.studies_of_an_update:
        studies = [generate_uid() for _ in range(sizes.studies_of_an_update)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(partial(store_small, servers[0], sizes.many), studies))
        yield Work(
            f"change the name in {len(studies)} studies of {sizes.many:,} x 4 KB",
            lambda server, _: [lambda: server.change_name(studies, "New^Name")],
            rounds=1,
            peer=False,
        )


def _feed(_: Sequence[Server], sizes: Sizes) -> Iterator[Work]:
    page = _gets("/changefeed?limit=200&includemetadata=false", "application/json", 5)
    yield Work("change feed, a page of 200", page, rounds=sizes.rounds, peer=False)


SECTIONS: dict[str, Callable[[Sequence[Server], Sizes], Iterator[Work]]] = {
    "platform": _platform,
    "store": _store,
    "retrieve": _retrieve,
    "large": _large,
    "update": _update,
    "feed": _feed,
    "search": _search,  # last: the emulator looks through all that it has
}

HALF_MIB, FOUR_KIB = 724, 60
"""Sides of square images of one byte a pixel."""


def _instances(study: str, series: str, count: int, side: int = HALF_MIB, first: int = 1) -> list[bytes]:
    """Files of one series; `first` is the InstanceNumber of the first. Their UIDs count, as those of most modalities do."""
    return [
        builders.instance(study, series, f"{series[:56]}.{number}", rows=side, columns=side, InstanceNumber=number)
        for number in range(first, first + count)
    ]


def _store_in_all(servers: Sequence[Server], study: str, count: int, series: str) -> Uids:
    """Stores files of half a MiB in all servers; returns the first one's names."""
    first = None
    for start in range(0, count, 10):
        files = _instances(study, series, min(10, count - start), first=start + 1)
        first = first or Uids.of(files[0])
        for server in servers:
            post(server, *multipart(files))
    assert first
    return first


def store_small(server: Server, count: int, study: str) -> None:
    """Stores a study of small instances in one series, a hundred at a time."""
    series = generate_uid()
    for first in range(1, count + 1, 100):
        post(server, *multipart(_instances(study, series, min(100, count + 1 - first), FOUR_KIB, first)))


def _gets(path: str, accept: str, count: int = 1, status: int = 200) -> Callable[[Server, int], list[Step]]:
    return lambda server, _: [partial(_get, server, path, accept, status)] * count


def _get(server: Server, path: str, accept: str, status: int = 200) -> None:
    response = requests.get(server.dicomweb + path, headers={"Accept": accept}, stream=True, timeout=900)
    assert response.status_code == status, response.text
    for _ in response.iter_content(1 << 20):
        pass
