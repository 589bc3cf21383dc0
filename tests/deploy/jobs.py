"""What people do with Recorder, end to end and through its API alone: for tests of where it runs."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from recordings import uploads
from tests.client import Client, send, sha256, sign_up
from tests.state import remains

MIB = 2**20
LARGE = b"loud" * (16 * MIB // 4) + b"!"


def put_parts(client: Client, id: str, content: bytes) -> None:
    """Two parts, each where its URL says."""
    size = uploads.part_size(len(content))
    cut = [content[start : start + size] for start in range(0, len(content), size)]
    wanted = [{"number": number, "sha256": sha256(part)} for number, part in enumerate(cut, 1)]
    answer = client.post(f"recordings/{id}/parts/", {"parts": wanted})
    assert answer.status == 200, answer
    for url, part in zip(answer.json["parts"], cut, strict=True):
        assert send(url, part).status_code == 200


def main_job(join: Callable[[str], Client] = sign_up) -> Client:
    """All that people do. `join` signs a new guest up on a device of that name; returns one, who is still there."""
    alice = join("Phone")
    again = join("Another")
    assert alice.patch("accounts/me/", {"name": "Alice"}).status == 200
    assert [each["device_name"] for each in alice.get("accounts/sessions/").json["results"]] == ["Phone"]
    assert again.post("accounts/logout/").status == 204
    assert alice.get("/health/?deep=1").status == 200

    small = alice.upload(b"small" * 100, name='강의 1 / 100 % "neu".wav')
    assert (small.status, small.json["name"]) == (201, '강의 1 / 100 % "neu".wav'), small
    single = alice.record(b"single" * 100)
    assert alice.create(b"gone" * 100).status == 201
    large = alice.create(LARGE).json["recording"]["id"]
    put_parts(alice, large, LARGE)
    assert alice.create(LARGE).json["upload"]["received"] == [1, 2, 3]
    assert alice.post(f"recordings/{large}/complete/").status == 200
    other = alice.create(LARGE + b"?").json["recording"]["id"]
    assert alice.post(f"recordings/{other}/complete/").code == "upload_incomplete"
    assert alice.delete(f"recordings/{other}/").status == 204

    assert len(alice.shelf()) == 3
    assert alice.post("recordings/check/", {"sha256": [sha256(LARGE)]}).json["results"][0]["status"] == "ready"
    assert len(alice.get("recordings/changes/").json["changes"]) >= 3
    assert alice.get(f"recordings/{large}/download/").status == 302
    assert alice.patch(f"recordings/{large}/", {"name": "Lecture"}).status == 200

    feed = alice.post("accounts/feeds/", {"tag": "family"}).json
    assert alice.patch(f"recordings/{large}/", {"tags": ["family"], "markers": []}).status == 200
    assert len(alice.get("accounts/feeds/").json["results"]) == 1
    address = urlsplit(feed["url"]).path.removesuffix(".xml")
    assert f"{large}/audio.wav" in alice.get(f"{address}.xml").content.decode()
    for rest, status in (("audio.wav", 302), ("chapters.json", 200)):
        assert alice.get(f"{address}/{large}/{rest}").status == status
    assert alice.delete(f"accounts/feeds/{feed['id']}/").status == 204

    share(alice, small.json["id"])
    for id in (single["id"], large):
        assert alice.delete(f"recordings/{id}/").status == 204
    assert alice.post(f"recordings/{single['id']}/restore/").status == 200
    assert alice.delete("recordings/?shelf=trash").status == 202
    assert alice.delete(f"recordings/{single['id']}/?permanent=true").status == 204
    assert len(alice.shelf()) == 1
    return alice


def share(client: Client, id: str) -> None:
    """Three links, of which two are still there afterwards."""
    shares = f"recordings/{id}/shares/"
    wanted: list[dict[str, Any]] = [{}, {"start": 0, "end": 1}, {"password": "open sesame"}]
    made = [client.post(shares, each).json for each in wanted]
    assert [each["status"] for each in client.get(shares).json["results"]] == ["ready", "preparing", "ready"]
    paths = [urlsplit(each["url"]).path for each in made]
    assert [client.get(path).status for path in paths] == [200, 200, 401]
    assert [client.get(f"{paths[0]}/{rest}").status for rest in ("audio", "download")] == [302, 302]
    assert client.delete(f"{shares}{made[2]['id']}/").status == 204
    assert client.get(paths[2]).status == 404


def close_account(client: Client) -> None:
    assert client.delete("accounts/me/").status == 202
    assert remains(client.user_id) == []
