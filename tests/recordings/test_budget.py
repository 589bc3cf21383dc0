"""The budget of AWS calls: exactly what each request sends, counted where botocore puts it on the wire."""

from collections.abc import Callable

import pytest

from accounts.models import Session
from aws import s3
from recordings.models import MULTIPART
from tests.client import Answer, Client, declare
from tests.state import LONG_AGO, calls, kept, put
from tests.web.test_uppy import Uppy, lose_copy

AUDIO = b"RIFF, more or less"
KEY = ["GetItem"]  # the session of the auth_key


def spent(request: Callable[[], Answer], status: int) -> list[str]:
    with calls() as sent:
        answer = request()
    assert answer.status == status, answer
    return sent


def test_list(alice: Client) -> None:
    for number in range(3):
        alice.create(b"%d" % number)
    page = alice.get("recordings/?shelf=uploading&limit=2").json
    more = f"recordings/?shelf=uploading&limit=2&cursor={page['next_cursor']}"
    for path in ("recordings/", "recordings/?shelf=uploading&tag=x&search=y", "recordings/?limit=200", more):
        assert spent(lambda path=path: alice.get(path), 200) == [*KEY, "Query"]  # type: ignore[misc]


def test_detail_and_download(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    assert spent(lambda: alice.get(f"recordings/{id}/"), 200) == [*KEY, "GetItem"]
    assert spent(lambda: alice.get(f"recordings/{id}/download/"), 302) == [*KEY, "GetItem"]
    assert spent(lambda: alice.get(f"recordings/{id}/download/?redirect=false"), 200) == [*KEY, "GetItem"]


def test_create(alice: Client) -> None:
    create = [*KEY, "GetItem", "GetItem"]
    assert spent(lambda: alice.post("recordings/", declare(AUDIO)), 201) == [*create, "TransactWriteItems"]
    assert spent(lambda: alice.post("recordings/", declare(AUDIO)), 200) == create


def test_complete(alice: Client) -> None:
    created = alice.create(AUDIO).json
    put(kept(alice.user_id, created["recording"]["id"]).key, AUDIO, ChecksumAlgorithm="SHA256")
    path = f"recordings/{created['recording']['id']}/complete/"
    expected = [*KEY, "GetItem", "HeadObject", "GetItem", "TransactWriteItems"]
    assert spent(lambda: alice.post(path), 200) == expected
    assert spent(lambda: alice.post(path), 200) == [*KEY, "GetItem"]


def test_small_upload(alice: Client) -> None:
    create = [*KEY, "GetItem", "GetItem"]
    ready = ["PutObject", "GetItem", "TransactWriteItems"]
    assert spent(lambda: alice.upload(AUDIO), 201) == [*create, "TransactWriteItems", *ready]
    assert spent(lambda: alice.upload(AUDIO), 200) == create


def test_change(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    change = [*KEY, "GetItem", "GetItem", "TransactWriteItems"]
    assert spent(lambda: alice.patch(f"recordings/{id}/", {"name": "n"}), 200) == change
    assert spent(lambda: alice.delete(f"recordings/{id}/"), 204) == change
    assert spent(lambda: alice.post(f"recordings/{id}/restore/"), 200) == change


@pytest.mark.usefixtures("earlier_grants")
def test_what_uppy_asks_of_a_replacement_that_waits_for_its_proof(alice: Client) -> None:
    id = alice.create(AUDIO, size=MULTIPART).json["recording"]["id"]
    row = lose_copy(alice, id)
    uppy = Uppy(alice)
    ask = ["GetItem", "GetItem", "GetItem", "HeadObject"]
    put(row.key, AUDIO)
    metadata = {"size": MULTIPART, "sha256": row.sha256}
    assert spent(lambda: uppy.params(AUDIO, **metadata), 409) == ask
    s3.erase(row.key)
    assert spent(lambda: uppy.params(AUDIO, **metadata), 200) == ask


def test_account(alice: Client) -> None:
    assert spent(lambda: alice.get("accounts/me/"), 200) == [*KEY, "GetItem", "GetItem"]
    assert spent(lambda: alice.get("accounts/sessions/"), 200) == [*KEY, "Query"]
    assert spent(lambda: alice.get("accounts/providers/"), 200) == []


def test_a_session_is_noted_as_seen_once_a_day(alice: Client) -> None:
    Session(alice.user_id, alice.session_id).update([Session.last_seen_at.set(LONG_AGO)])
    assert spent(lambda: alice.get("recordings/"), 200) == [*KEY, "UpdateItem", "Query"]
    assert spent(lambda: alice.get("recordings/"), 200) == [*KEY, "Query"]


def test_nothing_goes_to_aws_for_a_key_that_cannot_be_one(nobody: Client) -> None:
    for header in ("Bearer", "Bearer x", "Basic eDp5", "Bearer " + "0" * 32):
        assert spent(lambda header=header: nobody.get("recordings/", authorization=header), 401) == []  # type: ignore[misc]
    assert spent(lambda: nobody.get("recordings/"), 401) == []


def test_nothing_goes_to_aws_for_input_that_is_wrong(alice: Client) -> None:
    assert spent(lambda: alice.post("recordings/", {}), 400) == KEY
    assert spent(lambda: alice.get("recordings/?limit=0"), 400) == KEY
    assert spent(lambda: alice.get("recordings/nonsense/"), 404) == KEY
    assert spent(lambda: alice.upload(b""), 400) == KEY
