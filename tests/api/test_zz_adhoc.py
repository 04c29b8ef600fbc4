from __future__ import annotations
import random, struct
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote
from pydicom.uid import generate_uid
from tests import builders
from tests.support.dicomweb import *
from tests.support.host import Host

def test_names(host: Host) -> None:
    r = store(host, builders.instance(ReferringPhysicianName=["Doe^Jane%d" % n for n in range(9000)]))
    print(r.status_code, r.text[:300])
    assert r.status_code < 300

def test_emoji(host: Host) -> None:
    for text in ("😀" * 1000, "😀/" * 90 + "*", "😀" * 300 + "*"):
        r = host.get(f"/v2/studies?PatientName={quote(text)}")
        print(r.status_code, r.text[:200])
        assert r.status_code == 204

def test_emoji_store(host: Host) -> None:
    name = "=".join(["😀/" * 32] * 3)
    f = builders.instance(PatientName=name, SpecificCharacterSet="ISO_IR 192")
    r = store(host, f)
    print(r.status_code, r.text[:300])
    assert r.status_code == 200
    assert host.get(f"/v2/studies?PatientName={quote(name)}").status_code == 200

def test_frames(host: Host) -> None:
    content = builders.dataset()
    builders.add_pixels(content, 2, 2, 1, builders.RLE)
    n = 400_000
    content.NumberOfFrames = n
    from pydicom.encaps import encapsulate
    rnd = random.Random(1)
    content.PixelData = encapsulate([b"\x01\0\0\0" + bytes(60 + 2 * rnd.randrange(500)) for _ in range(n)], has_bot=False)
    content["PixelData"].is_undefined_length = True
    content["PixelData"].VR = "OB"
    f = builders.part10(content, builders.RLE)
    print(len(f))
    r = store(host, f)
    print(r.status_code, r.text[:300])
    assert r.status_code == 200
    r = host.get(f"/v2{Uids.of(f).instance_path}/frames/{n}")
    assert r.status_code == 200

def test_concurrent_same(host: Host) -> None:
    f = builders.instance()
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: store(host, f).status_code, range(8)))
    assert sorted(codes) == [200] + [409] * 7
    assert len(feed(host, Uids.of(f).study)) == 1
    with ThreadPoolExecutor(8) as pool:
        study = Uids.of(f).study
        codes = list(pool.map(lambda _: store(host, builders.instance(study)).status_code, range(24)))
    assert codes == [200] * 24
    [r] = host.get(f"/v2/studies?StudyInstanceUID={study}&includefield=00201208,00201206").json()
    assert value(r, "00201208") == 25 and value(r, "00201206") == 25
