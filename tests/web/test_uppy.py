"""Uppy's S3 contract behind a grant. What S3 itself refuses is in tests/integration, whole Uppys are in tests/uppy."""

import re
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
import requests
from django.core import signing
from pytest_django import Settings

from accounts import grants
from aws import presign, s3
from recordings.completion import verify
from recordings.keys import RecordingId
from recordings.models import MULTIPART, Ledger, Recording
from recordings.uploads import new_attempt
from tests.client import Answer, Client, send, sha256
from tests.state import calls, check_books, failing, kept, objects, put, row, snapshot

PART = 5 * 2**20
SMALL = b"RIFF, more or less" * 10
LARGE = b"0123456789abcdef" * (11 * 2**16)  # 11 MiB: three parts of Uppy's, and one PUT of ours
LARGEST = LARGE + LARGE  # 22 MiB: parts of ours too
ABSENT = "0" * 32


class Uppy:
    """@uppy/aws-s3 as far as the server sees it. It sends no header of its own."""

    def __init__(self, owner: Client, endpoint: str = "") -> None:
        self.owner, self.http = owner, Client()
        self.base = urlsplit(endpoint or granted(owner)).path

    def get(self, path: str, **query: Any) -> Answer:
        return self.http.get(f"{self.base}/s3{path}?{urlencode(query)}")

    def params(self, content: bytes, **metadata: Any) -> Answer:
        known = {"size": str(len(content)), "sha256": sha256(content)} | metadata
        names = {f"metadata[{name}]": value for name, value in known.items() if value is not None}
        return self.get("/params", filename="Talk.wav", type="audio/wav", **names)

    def post(self, content: bytes) -> Answer:
        """A whole upload in one form."""
        given = self.params(content)
        assert given.status == 200, given
        sent = submit(given.json, content)
        assert int(sent.status_code) == 201, sent.text  # moto's is a text
        return given

    def begin(self, content: bytes, **metadata: Any) -> Answer:
        known = {"size": len(content), "sha256": sha256(content), "name": "Talk.wav", "relativePath": None} | metadata
        body = {"filename": "file.wav", "type": "audio/wav", "metadata": known}
        return self.http.post(f"{self.base}/s3/multipart", body)

    def call(self, method: str, upload: dict[str, str], path: str = "", body: Any = None, query: str = "") -> Answer:
        where = f"{self.base}/s3/multipart/{quote(upload['uploadId'], safe='')}{path}"
        return self.http.call(method, f"{where}?key={quote(upload['key'], safe='')}{query}", body)

    def received(self, upload: dict[str, str]) -> Answer:
        return self.call("GET", upload)

    def put(self, upload: dict[str, str], number: int, content: bytes) -> str:
        signed = self.call("GET", upload, f"/{number}")
        assert signed.status == 200, signed
        sent = requests.put(signed.json["url"], data=content, timeout=20)
        assert sent.status_code == 200, sent.text
        return sent.headers["ETag"]

    def send(self, upload: dict[str, str], content: bytes, part: int = PART) -> list[dict[str, Any]]:
        pieces = [content[start : start + part] for start in range(0, len(content), part)]
        return [
            {"PartNumber": number, "ETag": self.put(upload, number, piece)} for number, piece in enumerate(pieces, 1)
        ]

    def complete(self, upload: dict[str, str], parts: Any) -> Answer:
        return self.call("POST", upload, "/complete", {"parts": parts})

    def abort(self, upload: dict[str, str]) -> Answer:
        return self.call("DELETE", upload)


def granted(owner: Client) -> str:
    answer = owner.post("recordings/uppy/")
    assert answer.status == 200, answer
    endpoint: str = answer.json["endpoint"]
    return endpoint


def submit(given: dict[str, Any], content: bytes) -> requests.Response:
    return requests.post(given["url"], data=given["fields"], files={"file": content}, timeout=20)


def id_in(upload: dict[str, str]) -> RecordingId:
    return RecordingId(upload["key"].split("/")[2])


@pytest.fixture
def alice(alice: Client) -> Client:
    """Not a guest."""
    Ledger(alice.user_id, 0).update([Ledger.is_guest.set(False)])
    return alice


@pytest.fixture
def uppy(alice: Client) -> Uppy:
    return Uppy(alice)


def test_a_grant_is_an_address(alice: Client) -> None:
    answer = alice.post("recordings/uppy/")
    assert answer.status == 200
    assert set(answer.json) == {"endpoint", "expires_at"}
    assert re.fullmatch(r"https://recorder\.test/uppy/[A-Za-z0-9_:-]+", answer.json["endpoint"])
    assert answer.headers["Cache-Control"] == "no-store"


def test_no_two_grants_are_alike(alice: Client) -> None:
    assert granted(alice) != granted(alice)


def test_nobody_gets_no_grant(nobody: Client) -> None:
    assert nobody.post("recordings/uppy/").status == 401


def test_a_small_file_goes_in_one_form(alice: Client, uppy: Uppy) -> None:
    given = uppy.params(SMALL, name="산책.wav", recorded_at="2025-03-02T00:30:00Z")
    id = id_in(given.json["fields"])
    stored = kept(alice.user_id, id)
    assert given.status == 200
    assert given.json == {
        "method": "POST",
        "url": given.json["url"],
        "fields": given.json["fields"],
        "expires": 21600,
    }
    fields = given.json["fields"]
    assert fields["key"] == stored.key
    assert (fields["success_action_status"], fields["Content-Type"]) == ("201", "audio/wav")
    assert (stored.name, stored.recorded_at) == ("산책.wav", "2025-03-02T00:30:00.000Z")
    assert alice.used_bytes() == len(SMALL)
    assert int(submit(given.json, SMALL).status_code) == 201
    done = alice.post(f"recordings/{id}/complete/")
    assert (done.status, done.json["status"]) == (200, "ready")
    assert done.json["verified_at"]
    assert objects() == {stored.key: SMALL}
    check_books(alice.user_id)


def test_a_grant_begins_the_same_file_once(alice: Client, uppy: Uppy) -> None:
    given, again = uppy.params(SMALL).json, uppy.params(SMALL).json
    assert given["fields"]["key"] == again["fields"]["key"]
    assert alice.used_bytes() == len(SMALL)
    parts = uppy.begin(SMALL).json
    assert (id_in(parts), parts["key"]) != (id_in(given["fields"]), given["fields"]["key"])
    assert id_in(parts) == id_in(given["fields"])
    assert alice.used_bytes() == len(SMALL)


def test_what_comes_under_a_grant_is_a_recording_of_its_own(alice: Client, uppy: Uppy) -> None:
    """Beside the app's own, and beside that of another grant: each has all bytes, and counts."""
    app = alice.record(LARGE)["id"]
    first = uppy.begin(LARGE).json
    sent = uppy.send(first, LARGE)
    second = Uppy(alice).begin(LARGE).json
    assert len({app, id_in(first), id_in(second)}) == 3
    assert uppy.complete(first, sent).status == 200
    assert alice.used_bytes() == 3 * len(LARGE)
    assert alice.create(LARGE).json["recording"]["id"] == app
    assert alice.post("recordings/check/", {"sha256": [sha256(LARGE)]}).json["results"][0]["id"] == app
    alice.delete(f"recordings/{app}/?permanent=true")
    assert objects() == {first["key"]: LARGE}
    assert sorted(alice.shelf()) == [id_in(first)]
    check_books(alice.user_id)


def test_the_policy_names_everything_that_it_lets_in(uppy: Uppy) -> None:
    policy = presign.presign_post("a/key", size=5, sha256=sha256(b"12345"), content_type="audio/wav")
    given = uppy.params(SMALL).json
    assert set(policy["fields"]) == set(given["fields"])
    checksum = {"x-amz-checksum-algorithm", "x-amz-checksum-sha256"}
    assert checksum <= set(given["fields"])


def test_a_large_file_goes_in_parts(alice: Client, uppy: Uppy) -> None:
    begun = uppy.begin(LARGE)
    assert begun.status == 200
    assert set(begun.json) == {"key", "uploadId", "bucket"}
    upload = begun.json
    stored = kept(alice.user_id, id_in(upload))
    assert (stored.key, stored.name, stored.any_parts) == (upload["key"], "Talk.wav", True)
    assert uppy.received(upload).json == []
    sent = uppy.send(upload, LARGE)
    listed = uppy.received(upload).json
    assert listed == [
        {"PartNumber": part["PartNumber"], "ETag": part["ETag"], "Size": size}
        for part, size in zip(sent, [PART, PART, 2**20], strict=True)
    ]
    done = uppy.complete(upload, sent)
    assert done.status == 200
    assert done.json == {
        "location": f"https://recorder.test/api/v1/recordings/{stored.id}/download/",
        "key": upload["key"],
        "bucket": upload["bucket"],
    }
    assert alice.get(f"recordings/{stored.id}/").json["status"] == "ready"
    assert objects() == {upload["key"]: LARGE}
    assert snapshot()["uploads"] == []
    assert kept(alice.user_id, stored.id).any_parts is None
    check_books(alice.user_id)


def test_etags_come_back_with_quotes_or_without(uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    bare = [{**part, "ETag": part["ETag"].strip('"')} for part in uppy.send(upload, LARGE)]
    assert uppy.complete(upload, bare).status == 200


@pytest.mark.parametrize("content", [b"a few bytes", LARGEST])
def test_any_size_may_go_in_parts(alice: Client, uppy: Uppy, content: bytes) -> None:
    upload = uppy.begin(content).json
    assert uppy.complete(upload, uppy.send(upload, content, 7 * 2**20)).status == 200
    assert objects() == {upload["key"]: content}
    check_books(alice.user_id)


def test_urls_of_many_parts_at_once(uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    answer = uppy.call("GET", upload, "/batch", query="&partNumbers=1,2,3")
    assert answer.status == 200
    assert set(answer.json["presignedUrls"]) == {"1", "2", "3"}
    one = uppy.call("GET", upload, "/1").json
    assert set(one) == {"url", "expires"}
    assert "content-length" not in one["url"].lower()
    assert requests.put(answer.json["presignedUrls"]["1"], data=b"bytes", timeout=20).status_code == 200


@pytest.mark.parametrize("number", ["0", "4", "10001", "99999999999999999999"])
def test_a_part_that_can_not_be(uppy: Uppy, number: str) -> None:
    upload = uppy.begin(LARGE).json
    assert uppy.call("GET", upload, f"/{number}").status == 400
    assert uppy.call("GET", upload, "/batch", query=f"&partNumbers={number}").status == 400


def test_goes_on_where_it_was(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    first = uppy.put(upload, 1, LARGE[:PART])
    assert uppy.begin(LARGE).json == upload
    later = Uppy(alice)  # another grant, after a reload
    assert [part["ETag"] for part in later.received(upload).json] == [first]
    later.put(upload, 2, LARGE[PART : 2 * PART])
    later.put(upload, 3, LARGE[2 * PART :])
    assert later.complete(upload, later.received(upload).json).status == 200
    assert objects() == {upload["key"]: LARGE}


@pytest.mark.parametrize(
    ("lengths", "listed"),
    [
        ({1: PART, 2: 2**20}, [1]),
        ({1: 2**20, 2: PART}, [2]),
        ({1: PART, 3: 2**20}, [1, 3]),
        ({2: 2**20}, []),
        ({3: 2**20}, []),
        ({1: PART, 2: PART + 1}, [2]),
        ({1: PART, 2: PART, 3: PART}, [1, 2]),
        ({1: len(LARGE)}, [1]),
    ],
)
def test_a_part_that_was_cut_off_is_sent_again(uppy: Uppy, lengths: dict[int, int], listed: list[int]) -> None:
    upload = uppy.begin(LARGE).json
    for number, length in lengths.items():
        uppy.put(upload, number, LARGE[:length])
    assert [part["PartNumber"] for part in uppy.received(upload).json] == listed


def test_complete_again_is_as_good_as_once(alice: Client, uppy: Uppy) -> None:
    """The answer was lost: Uppy lists the parts again, finds nothing to send, and completes."""
    upload = uppy.begin(LARGE).json
    sent = uppy.send(upload, LARGE)
    first = uppy.complete(upload, sent)
    before = snapshot()
    listed = uppy.received(upload)
    assert {1, 2, 3} <= {part["PartNumber"] for part in listed.json}
    again = uppy.complete(upload, sent)
    assert (again.status, again.json) == (first.status, first.json)
    assert snapshot() == before


def test_parts_that_are_put_together_already(alice: Client, uppy: Uppy) -> None:
    """S3 took it, and the row does not say so yet."""
    upload = uppy.begin(LARGE).json
    sent = uppy.send(upload, LARGE)
    with failing("TransactWriteItems"):
        assert uppy.complete(upload, sent).status == 503
    assert {1, 2, 3} <= {part["PartNumber"] for part in uppy.received(upload).json}
    assert uppy.begin(LARGE).code == "already_here"
    assert uppy.complete(upload, sent).status == 200
    assert objects() == {upload["key"]: LARGE}


@pytest.mark.usefixtures("earlier_grants")
def test_what_an_earlier_version_began_goes_on(alice: Client, uppy: Uppy) -> None:
    """It gave S3's upload id as it is, and grants that may be alike. Once all is put together it is over."""
    upload = uppy.begin(LARGE).json
    upload["uploadId"] = kept(alice.user_id, id_in(upload)).upload_id
    grant = signing.dumps([alice.user_id, alice.session_id], salt=grants.SALT)
    page = Uppy(alice, f"/uppy/{grant}")
    sent = page.send(upload, LARGE)
    assert len(page.received(upload).json) == 3
    assert page.complete(upload, sent).status == 200
    assert page.received(upload).status == 404
    assert objects() == {upload["key"]: LARGE}


def test_an_upload_that_s3_has_forgotten_begins_anew(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    s3.abort_multipart(upload["key"], kept(alice.user_id, id_in(upload)).upload_id or "")
    assert uppy.received(upload).status == 404
    again = uppy.begin(LARGE).json
    assert again["uploadId"] != upload["uploadId"]
    assert uppy.complete(again, uppy.send(again, LARGE)).status == 200
    assert objects() == {again["key"]: LARGE}
    check_books(alice.user_id)


def test_a_missing_part(uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    sent = uppy.send(upload, LARGE)
    upload = Uppy(uppy.owner).begin(LARGEST).json
    sent = [{"PartNumber": number, "ETag": "x"} for number in (1, 2, 3)]
    uppy.put(upload, 1, LARGEST[:PART])
    uppy.put(upload, 3, LARGEST[2 * PART :])
    answer = uppy.complete(upload, sent)
    assert (answer.status, answer.code, answer.pointers) == (409, "upload_incomplete", ["/parts/2"])
    assert answer.json["message"] == answer.json["detail"]
    uppy.put(upload, 2, LARGEST[PART : 2 * PART])
    assert uppy.complete(upload, sent).status == 200


@pytest.mark.parametrize(
    ("pieces", "pointers"),
    [
        ([LARGE[:PART], LARGE[PART:], b"and more"], ["/parts/3"]),  # a part too many
        ([LARGE[:PART], LARGE[PART:-1]], ["/parts/2"]),  # truncated
        ([LARGE[:2], LARGE[2:]], ["/parts/1"]),  # smaller than S3 takes
    ],
)
def test_parts_that_do_not_add_up(alice: Client, uppy: Uppy, pieces: list[bytes], pointers: list[str]) -> None:
    upload = uppy.begin(LARGE).json
    sent = [{"PartNumber": n, "ETag": uppy.put(upload, n, piece)} for n, piece in enumerate(pieces, 1)]
    answer = uppy.complete(upload, sent)
    assert (answer.status, answer.code, answer.pointers) == (409, "part_mismatch", pointers)
    assert answer.json["message"]
    assert uppy.received(upload).status == 404
    again = uppy.begin(LARGE).json
    assert again["key"] != upload["key"]
    assert uppy.received(again).json == []
    assert uppy.complete(again, uppy.send(again, LARGE)).status == 200
    assert objects() == {again["key"]: LARGE}
    assert snapshot()["uploads"] == []
    check_books(alice.user_id)


def test_wrong_bytes_in_parts_are_a_mismatch_at_once_where_they_are_few(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    swapped = LARGE[PART : 2 * PART] + LARGE[:PART] + b"x" * (len(LARGE) - 2 * PART)
    answer = uppy.complete(upload, uppy.send(upload, swapped))
    assert (answer.status, answer.code) == (409, "checksum_mismatch")
    again = uppy.begin(LARGE).json
    assert uppy.complete(again, uppy.send(again, LARGE)).status == 200
    assert objects() == {again["key"]: LARGE}


def test_the_app_asks_too_early(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    uppy.put(upload, 1, LARGE[:PART])
    early = alice.post(f"recordings/{id_in(upload)}/complete/")
    assert (early.status, early.code, early.pointers) == (409, "upload_incomplete", ["/parts/2"])
    assert len(uppy.received(upload).json) == 1


@pytest.mark.usefixtures("earlier_grants")
@pytest.mark.parametrize("content", [LARGE, LARGEST])
def test_the_app_takes_over(alice: Client, uppy: Uppy, content: bytes) -> None:
    """Its parts are cut otherwise: what Uppy has sent is no use to it, and must not be taken for parts of its own."""
    upload = uppy.begin(content).json
    uppy.put(upload, 1, content[:PART])
    created = alice.create(content).json
    assert created["recording"]["id"] == id_in(upload)
    assert uppy.received(upload).status == 404
    if content == LARGE:
        assert send(created["upload"], content).status_code == 200
    else:
        assert created["upload"]["received"] == []
        send_parts(alice, created, content)
    done = alice.post(f"recordings/{id_in(upload)}/complete/")
    assert (done.status, done.json["status"]) == (200, "ready")
    assert list(objects().values()) == [content]
    assert snapshot()["uploads"] == []
    check_books(alice.user_id)


def send_parts(client: Client, created: dict[str, Any], content: bytes) -> None:
    size = created["upload"]["part_size"]
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    wanted = [{"number": number, "sha256": sha256(piece)} for number, piece in enumerate(pieces, 1)]
    signed = client.post(f"recordings/{created['recording']['id']}/parts/", {"parts": wanted}).json["parts"]
    for part, piece in zip(signed, pieces, strict=True):
        sent = requests.put(part["url"], data=piece, headers=part["headers"], timeout=20)
        assert sent.status_code == 200, sent.text


@pytest.mark.usefixtures("earlier_grants")
def test_uppy_takes_over_from_the_app(alice: Client, uppy: Uppy) -> None:
    created = alice.create(LARGEST).json
    id = created["recording"]["id"]
    upload = uppy.begin(LARGEST).json
    assert id_in(upload) == id
    wanted = {"parts": [{"number": 1, "sha256": sha256(b"")}]}
    assert alice.post(f"recordings/{id}/parts/", wanted).code == "not_multipart"
    assert uppy.complete(upload, uppy.send(upload, LARGEST)).status == 200
    assert objects() == {upload["key"]: LARGEST}
    assert snapshot()["uploads"] == []
    check_books(alice.user_id)


def test_no_parts_lead_to_the_key_of_a_file_that_comes_in_one_post(alice: Client, uppy: Uppy) -> None:
    """Parts that are put together late would take the place of what came, and was acknowledged."""
    before = kept(alice.user_id, id_in(uppy.begin(LARGEST).json))
    assert before.upload_id
    fields = uppy.params(LARGEST).json["fields"]
    assert fields["key"] != before.key
    assert snapshot()["uploads"] == []
    again = uppy.params(LARGEST).json["fields"]
    assert again["key"] == fields["key"]
    uppy.post(LARGEST)
    assert alice.post(f"recordings/{before.id}/complete/").json["status"] == "ready"
    assert objects() == {fields["key"]: LARGEST}


@pytest.mark.usefixtures("earlier_grants")
def test_the_app_goes_on_in_parts_after_a_post_that_never_came(alice: Client, uppy: Uppy) -> None:
    fields = uppy.params(LARGEST).json["fields"]
    created = alice.create(LARGEST).json
    assert created["upload"]["kind"] == "multipart"
    assert kept(alice.user_id, created["recording"]["id"]).key != fields["key"]
    check_books(alice.user_id)


@pytest.mark.parametrize("content", [SMALL, LARGE, LARGEST])
def test_what_is_here_is_not_sent_again(alice: Client, uppy: Uppy, content: bytes) -> None:
    id = id_in(uppy.post(content).json["fields"])
    assert alice.post(f"recordings/{id}/complete/").status == 200
    alice.patch(f"recordings/{id}/", {"name": "hers.wav"})
    for answer in (uppy.params(content), uppy.begin(content)):
        assert (answer.status, answer.code) == (409, "already_here")
        assert "hers" not in answer.json["message"]


def test_what_is_in_the_trash_comes_out_of_it(alice: Client, uppy: Uppy) -> None:
    """If it came under this grant."""
    id = id_in(uppy.post(SMALL).json["fields"])
    alice.post(f"recordings/{id}/complete/")
    alice.delete(f"recordings/{id}/")
    Uppy(alice).params(SMALL)
    assert alice.shelf() == []
    assert uppy.params(SMALL).code == "already_here"
    assert alice.shelf() == [id]


@pytest.mark.parametrize("status", ["uploading", "gone"])
def test_cancelling_purges(alice: Client, uppy: Uppy, status: str) -> None:
    upload = uppy.begin(LARGE).json
    uppy.put(upload, 1, LARGE[:PART])
    if status == "gone":
        alice.delete(f"recordings/{id_in(upload)}/")
        assert uppy.abort(upload).status == 404
    else:
        answer = uppy.abort(upload)
        assert (answer.status, answer.json) == (200, {})
    assert row(alice.user_id, id_in(upload)) is None
    assert snapshot()["uploads"] == []
    assert alice.used_bytes() == 0


def test_cancelling_purges_nothing_that_is_ready(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    uppy.complete(upload, uppy.send(upload, LARGE))
    answer = uppy.abort(upload)
    assert (answer.status, answer.json) == (200, {})
    assert kept(alice.user_id, id_in(upload)).status == "ready"


def test_cancelling_an_attempt_that_is_over_purges_nothing(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGE).json
    uppy.params(LARGE)
    assert uppy.abort(upload).status == 404
    assert kept(alice.user_id, id_in(upload)).status == "uploading"


def test_a_strangers_grant_reaches_nothing(charlie: Client, uppy: Uppy) -> None:
    Ledger(charlie.user_id, 0).update([Ledger.is_guest.set(False)])
    upload = uppy.begin(LARGE).json
    etag = uppy.put(upload, 1, LARGE[:PART])
    before = snapshot()
    stranger = Uppy(charlie)
    for answer in (
        stranger.received(upload),
        stranger.call("GET", upload, "/1"),
        stranger.call("GET", upload, "/batch", query="&partNumbers=1"),
        stranger.complete(upload, [{"PartNumber": 1, "ETag": etag}]),
        stranger.abort(upload),
    ):
        assert (answer.status, answer.code) == (404, "not_found")
        assert answer.json["message"]
    assert snapshot() == before


@pytest.mark.parametrize(
    "foreign",
    [
        {"key": ""},
        {"key": "recordings/../../etc/passwd"},
        {"key": f"recordings/{ABSENT}/{ABSENT}/{ABSENT}"},
        {"key": "ABSENT"},
        {"uploadId": "x"},
        {"uploadId": "%00 ../?#"},
    ],
)
def test_a_foreign_key_or_upload_reaches_nothing(alice: Client, uppy: Uppy, foreign: dict[str, str]) -> None:
    upload = uppy.begin(LARGE).json
    if foreign.get("key") == "ABSENT":
        foreign = {"key": f"recordings/{alice.user_id}/{ABSENT}/{ABSENT}"}
    before = snapshot()
    named = upload | foreign
    for answer in (
        uppy.received(named),
        uppy.call("GET", named, "/1"),
        uppy.complete(named, [{"PartNumber": 1, "ETag": "x"}]),
        uppy.abort(named),
    ):
        assert answer.status == 404, answer
    assert snapshot() == before


def test_an_upload_of_the_apps_own_is_none_of_uppys(alice: Client, uppy: Uppy) -> None:
    created = alice.create(LARGEST).json
    stored = kept(alice.user_id, created["recording"]["id"])
    named = {"key": stored.key, "uploadId": stored.upload_id or ""}
    assert uppy.received(named).status == 404
    assert uppy.call("GET", named, "/1").status == 404
    assert uppy.abort(named).status == 404


def test_a_key_of_another_upload_of_mine(uppy: Uppy) -> None:
    one, other = uppy.begin(LARGE).json, uppy.begin(LARGEST).json
    mixed = {"key": one["key"], "uploadId": other["uploadId"]}
    assert uppy.call("GET", mixed, "/1").status == 404


@pytest.mark.parametrize("absent", ["size", "sha256"])
def test_without_size_or_hash_it_says_what_to_add(uppy: Uppy, absent: str) -> None:
    unnamed: dict[str, Any] = {absent: None}
    before = snapshot()
    for answer in (uppy.params(SMALL, **unnamed), uppy.begin(SMALL, **unnamed)):
        assert (answer.status, answer.code, answer.pointers) == (400, "invalid", [f"/metadata/{absent}"])
        assert "setFileMeta" in answer.json["message"]
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert snapshot() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": "many"},
        {"size": -1},
        {"size": 10**30},
        {"sha256": "abc"},
        {"sha256": "A" * 64},
        {"name": "bell\x07"},
        {"recorded_at": "yesterday"},
    ],
)
def test_nonsense_in_the_metadata(uppy: Uppy, wrong: dict[str, Any]) -> None:
    for answer in (uppy.params(SMALL, **wrong), uppy.begin(SMALL, **wrong)):
        assert answer.status in (400, 413)
        assert answer.json["message"]


@pytest.mark.parametrize("body", [[], "x", 1, {}, {"metadata": []}, {"metadata": {"size": {}, "sha256": []}}])
def test_nonsense_instead_of_a_file(uppy: Uppy, body: Any) -> None:
    answer = uppy.http.post(f"{uppy.base}/s3/multipart", body)
    assert answer.status == 400
    assert answer.json["message"]


@pytest.mark.parametrize("parts", [None, [], "x", [1], [{}], [{"PartNumber": []}], [{"PartNumber": 0}]])
def test_nonsense_instead_of_parts(uppy: Uppy, parts: Any) -> None:
    upload = uppy.begin(LARGE).json
    answer = uppy.complete(upload, parts)
    assert (answer.status, answer.code) == (400, "invalid")
    assert uppy.received(upload).status == 200


@pytest.mark.parametrize("numbers", ["", "x", "1,", "1,,2", "-1", "1e3", "¹"])
def test_nonsense_instead_of_numbers(uppy: Uppy, numbers: str) -> None:
    upload = uppy.begin(LARGE).json
    assert uppy.call("GET", upload, "/batch", query=f"&partNumbers={quote(numbers)}").status == 400


def test_a_file_that_is_no_recording(uppy: Uppy) -> None:
    answer = uppy.get(
        "/params", filename="a.pdf", type="application/pdf", **{"metadata[size]": 1, "metadata[sha256]": "0" * 64}
    )
    assert answer.status == 400
    assert "audio/*" in answer.json["message"]


def test_quota(alice: Client, uppy: Uppy, settings: Settings) -> None:
    settings.QUOTA_BYTES = len(LARGE) + 10
    assert uppy.begin(LARGE).status == 200
    for answer in (uppy.params(SMALL), uppy.begin(SMALL)):
        assert (answer.status, answer.code) == (409, "quota_exceeded")
        assert answer.json["message"]


def test_too_large(uppy: Uppy, settings: Settings) -> None:
    settings.MAX_RECORDING_BYTES = settings.QUOTA_BYTES = 2**43
    answer = uppy.params(SMALL, size=5 * 10**9 + 1)
    assert (answer.status, answer.code) == (413, "too_large")
    assert uppy.begin(SMALL, size=5 * 10**9 + 1).status == 200
    assert uppy.begin(SMALL, size=2**43 + 1).code == "too_large"


def test_guests_may_not_send_parts(charlie: Client) -> None:
    guest = Uppy(charlie)
    before = snapshot()
    answer = guest.begin(LARGE)
    assert (answer.status, answer.code) == (403, "guest")
    assert answer.json["message"]
    assert snapshot() == before
    guest.post(SMALL)


def refused(uppy: Uppy) -> None:
    upload = {"key": f"recordings/{uppy.owner.user_id}/{ABSENT}/{ABSENT}", "uploadId": "x"}
    before = snapshot()
    for answer in (
        uppy.params(SMALL),
        uppy.begin(SMALL),
        uppy.received(upload),
        uppy.complete(upload, []),
        uppy.abort(upload),
    ):
        assert (answer.status, answer.code) == (401, "invalid_grant")
        assert answer.json["message"]
    assert snapshot() == before


def test_a_grant_ends(uppy: Uppy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "SECONDS", -1)
    refused(uppy)


def test_a_grant_ends_with_its_session(alice: Client, uppy: Uppy) -> None:
    alice.post("accounts/logout/")
    refused(uppy)


def test_a_grant_ends_with_its_account(alice: Client, uppy: Uppy) -> None:
    assert alice.delete("accounts/me/").status == 202
    refused(uppy)


@pytest.mark.parametrize(
    "spoil", [lambda grant: grant[:-1], lambda grant: "x" + grant, lambda grant: "x", str.swapcase]
)
def test_a_grant_that_was_tampered_with(alice: Client, spoil: Any) -> None:
    grant = granted(alice).rpartition("/")[2]
    refused(Uppy(alice, f"/uppy/{spoil(grant)}"))


def test_a_grant_of_another_kind(alice: Client) -> None:
    refused(Uppy(alice, f"/uppy/{signing.dumps([alice.user_id, alice.session_id], salt='cursor')}"))


def test_a_grant_is_worth_nothing_elsewhere(alice: Client) -> None:
    grant = granted(alice).rpartition("/")[2]
    assert Client(grant).get("recordings/").status == 401
    assert Client().get(f"recordings/?cursor={grant}").status == 401
    assert alice.get(f"recordings/?cursor={grant}").status == 400


def test_whoever_holds_a_grant_is_its_owner(alice: Client, charlie: Client) -> None:
    """A key or a cookie that a browser sends along changes nothing."""
    uppy = Uppy(alice)
    uppy.http = charlie
    given = uppy.params(SMALL).json
    assert given["fields"]["key"].split("/")[1] == alice.user_id


def test_pages_of_other_origins_may_call(alice: Client, uppy: Uppy) -> None:
    allowed = uppy.http.get(f"{uppy.base}/s3/params", origin="https://app.test")
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.test"
    other = uppy.http.get(f"{uppy.base}/s3/params", origin="https://evil.test")
    assert "Access-Control-Allow-Origin" not in other.headers
    asked = {"origin": "https://app.test", "access_control_request_headers": "content-type"}
    for method in ("POST", "DELETE"):
        preflight = uppy.http.call(
            "OPTIONS", f"{uppy.base}/s3/multipart", access_control_request_method=method, **asked
        )
        assert preflight.status == 200
        assert method in preflight.headers["Access-Control-Allow-Methods"]


def test_a_path_that_is_not_there_is_a_problem(uppy: Uppy) -> None:
    for path in ("/s3/multipart/", "/s3/sts", "/", "/s3/params/"):
        answer = uppy.http.get(uppy.base + path)
        assert (answer.status, answer.code) == (404, "not_found")
    assert uppy.http.post(f"{uppy.base}/s3/params").status == 405


def test_calls_to_aws(uppy: Uppy) -> None:
    with calls() as sent:
        upload = uppy.begin(LARGE).json
    assert sent == ["GetItem", "GetItem", "GetItem", "GetItem", "CreateMultipartUpload", "TransactWriteItems"]
    with calls() as sent:
        uppy.call("GET", upload, "/batch", query="&partNumbers=1,2,3,4,5,6")
    assert sent == ["GetItem", "GetItem"]
    with calls() as sent:
        uppy.params(SMALL)
    assert sent == ["GetItem", "GetItem", "GetItem", "TransactWriteItems"]


def test_a_mismatch_is_replaced_by_a_verified_attempt(alice: Client, uppy: Uppy) -> None:
    upload = uppy.begin(LARGEST).json
    wrong = b"x" * len(LARGEST)
    assert uppy.complete(upload, uppy.send(upload, wrong)).status == 200
    id = id_in(upload)
    assert verify(alice.user_id, id).status == "mismatch"
    again = uppy.begin(LARGEST).json
    assert again["key"] != upload["key"]
    assert uppy.begin(LARGEST).json == again
    sent = uppy.send(again, LARGEST)
    assert uppy.complete(again, sent).status == 200
    assert {1, 2, 3, 4, 5} <= {part["PartNumber"] for part in uppy.received(again).json}
    assert uppy.complete(again, sent).status == 200
    assert uppy.begin(LARGEST).code == uppy.params(LARGEST).code == "already_here"
    assert objects() == {upload["key"]: wrong, again["key"]: LARGEST}
    assert verify(alice.user_id, id).status == "ready"
    assert objects() == {again["key"]: LARGEST}
    check_books(alice.user_id)


@pytest.mark.usefixtures("earlier_grants")
def test_a_mismatch_keeps_its_bytes_whoever_goes_on_with_it(alice: Client, uppy: Uppy) -> None:
    """A new attempt that is begun by the app, then by Uppy, then cancelled, then by the app again."""
    upload = uppy.begin(LARGEST).json
    wrong = b"x" * len(LARGEST)
    uppy.complete(upload, uppy.send(upload, wrong))
    id = id_in(upload)
    verify(alice.user_id, id)
    assert alice.create(LARGEST).json["upload"]["received"] == []
    again = uppy.begin(LARGEST).json
    uppy.put(again, 1, LARGEST[:PART])
    assert uppy.abort(again).json == {}
    assert kept(alice.user_id, id).status == "mismatch"
    created = alice.create(LARGEST).json
    assert created["upload"]["received"] == []
    assert objects() == {upload["key"]: wrong}
    send_parts(alice, created, LARGEST)
    assert alice.post(f"recordings/{id}/complete/").status == 200
    assert verify(alice.user_id, id).status == "ready"
    assert list(objects().values()) == [LARGEST]
    assert snapshot()["uploads"] == []
    check_books(alice.user_id)


def test_no_log_holds_a_grant(uppy: Uppy, caplog: pytest.LogCaptureFixture) -> None:
    assert uppy.get("/params").status == 400
    said = [str(vars(record)) for record in caplog.records]
    assert any("/uppy/{grant}/s3/params" in line for line in said)
    assert not any(uppy.base.rpartition("/")[2] in line for line in said)


def lose_copy(client: Client, id: str) -> Recording:
    """An upload becomes a mismatch that late bytes were to be copied for, and neither copy nor source is there. Its
    row as it is then.
    """
    row: Recording = kept(client.user_id, id)
    alone = [Recording.attempt.set(new_attempt(row.life)), Recording.upload_id.remove(), Recording.any_parts.remove()]
    mismatch = [Recording.status.set("mismatch"), Recording.kept.set(row.attempt), Recording.kept_size.set(row.size)]
    row.update([*alone, *mismatch])
    put(row.stored_key, b"x")
    return row


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.usefixtures("earlier_grants")
def test_what_could_not_be_copied_is_sent_anew(alice: Client, in_parts: bool) -> None:
    id = alice.create(SMALL, size=MULTIPART).json["recording"]["id"]
    row = lose_copy(alice, id)
    uppy = Uppy(alice)
    metadata = {"size": MULTIPART, "sha256": sha256(SMALL)}
    answer = (uppy.begin if in_parts else uppy.params)(SMALL, **metadata)
    assert answer.status == 200, answer
    again = kept(alice.user_id, id)
    assert (again.status, again.kept, bool(again.upload_id)) == ("mismatch", row.kept, in_parts)
    assert (again.attempt != row.attempt) is in_parts  # nothing else than these bytes can come to the key that it has
    assert bool(again.any_parts) is in_parts
    assert (answer.json["key"] if in_parts else answer.json["fields"]["key"]) == again.key
    assert objects() == {row.stored_key: b"x"}
    check_books(alice.user_id)


@pytest.mark.usefixtures("earlier_grants")
def test_a_mismatch_is_replaced_in_one_post(alice: Client, uppy: Uppy) -> None:
    row = lose_copy(alice, alice.create(LARGEST).json["recording"]["id"])
    assert uppy.params(LARGEST).json["fields"]["key"] == row.key
    uppy.post(LARGEST)
    assert uppy.params(LARGEST).code == "already_here"
    assert alice.post(f"recordings/{row.id}/complete/").status == 200
    assert verify(alice.user_id, row.id).status == "ready"
    assert objects() == {row.key: LARGEST}
    check_books(alice.user_id)


@pytest.mark.usefixtures("earlier_grants")
def test_a_form_in_place_of_parts_that_were_lost(alice: Client, uppy: Uppy) -> None:
    """Parts might still be put together at the key that they had."""
    row = lose_copy(alice, alice.create(SMALL, size=MULTIPART).json["recording"]["id"])
    row.update([Recording.any_parts.set(True)])
    fields = uppy.params(SMALL, size=MULTIPART).json["fields"]
    again = kept(alice.user_id, row.id)
    assert fields["key"] == again.key != row.key
    assert (again.any_parts, again.upload_id) == (None, None)
    assert uppy.params(SMALL, size=MULTIPART).json["fields"]["key"] == again.key


@pytest.mark.usefixtures("earlier_grants")
def test_parts_that_were_lost_are_sent_anew_by_the_app(alice: Client, uppy: Uppy) -> None:
    """In parts of ours, where Uppy had cut them."""
    upload = uppy.begin(SMALL, size=MULTIPART).json
    row = lose_copy(alice, id_in(upload))
    row.update([Recording.any_parts.set(True)])
    created = alice.create(SMALL, size=MULTIPART).json
    assert created["upload"]["kind"] == "multipart"
    wanted = {"parts": [{"number": 1, "sha256": sha256(SMALL)}]}
    assert alice.post(f"recordings/{row.id}/parts/", wanted).status == 200
