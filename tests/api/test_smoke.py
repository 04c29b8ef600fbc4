from tests import builders
from tests.support.dicomweb import ANY_FILE, Uids, store
from tests.support.host import Host


def test_stored_file_comes_back(host: Host) -> None:
    file = builders.instance()
    uids = Uids.of(file)
    assert store(host, file).status_code == 200
    response = host.get(f"/v2{uids.instance_path}", Accept=ANY_FILE)
    assert response.content == file
