"""Sharing a recording through the API: what its owner can do, and what is stored of it."""

import datetime
import hashlib
import re
import time
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from lib.clock import stamp
from lib.secrets import CLEAR
from recorder_project.settings import PASSWORD_HASHERS
from recordings.models import Excerpt, Recording, Share
from recordings.shares.links import hash_password, opens
from tests.client import Client
from tests.recordings.test_budget import KEY, spent
from tests.state import check_books, failing, kept, meanwhile, objects, remains, snapshot

AUDIO = b"RIFF, more or less"
URL = re.compile(r"https://recorder\.test/s/([A-Za-z0-9_-]{43})")


@pytest.fixture
def id(alice: Client) -> str:
    return str(alice.record(AUDIO)["id"])


def make(owner: Client, id: str, **wanted: Any) -> dict[str, Any]:
    answer = owner.post(f"recordings/{id}/shares/", wanted)
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json
    return made


def listed(owner: Client, id: str) -> list[dict[str, Any]]:
    answer = owner.get(f"recordings/{id}/shares/")
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.json["results"]
    return found


def revoke(owner: Client, id: str, share_id: str) -> None:
    assert owner.delete(f"recordings/{id}/shares/{share_id}/").status == 204


def token_of(made: dict[str, Any]) -> str:
    match = URL.fullmatch(made["url"])
    assert match, made["url"]
    return match[1]


def stored(share_id: str) -> Share:
    share = Share.of(share_id)
    assert share is not None
    return share


def expire(owner: Client, id: str, share_id: str) -> None:
    """As if its time were over."""
    share, row = stored(share_id), kept(owner.user_id, id)
    share.update([Share.expires_at.set(1)])
    entries = [each | ({"expires_at": 1} if each["id"] == share_id else {}) for each in row.shares]
    row.update([Recording.shares.set(entries)])


def days(number: float, seconds: float = 0) -> str:
    return stamp(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=number, seconds=seconds))


def test_a_share_as_it_is_made_and_listed(alice: Client, id: str) -> None:
    made = make(alice, id)
    assert set(made) == {
        "id",
        "url",
        "created_at",
        "expires_at",
        "has_password",
        "at",
        "start",
        "end",
        "status",
        "password",
    }
    assert made["id"] == hashlib.sha256(token_of(made).encode()).hexdigest()
    assert (made["has_password"], made["at"], made["start"], made["end"]) == (False, None, None, None)
    assert made["status"] == "ready"
    assert days(7, -30) < made["expires_at"] < days(7, 30)
    assert listed(alice, id) == [{name: value for name, value in made.items() if name not in ("url", "password")}]


def test_nothing_that_is_stored_tells_the_link_or_the_password(alice: Client, id: str, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS
    made = make(alice, id, password="open sesame")
    assert made["has_password"]
    told = repr(snapshot())
    assert token_of(made) not in told
    assert "open sesame" not in told
    assert stored(made["id"]).password.startswith("scrypt$")


def test_what_is_stored_of_one(alice: Client, id: str) -> None:
    made = make(alice, id, expires_at=days(30), at=12.3456)
    share = stored(made["id"])
    assert (share.id, share.auth_key) == (f"share:{made['id']}", "share")
    assert (share.user_id, share.recording_id, share.at, share.status) == (alice.user_id, id, 12.346, "ready")
    assert share.expires_at == pytest.approx(time.time() + 30 * 86400, abs=30)
    assert kept(alice.user_id, id).shares == [{"id": made["id"], "expires_at": share.expires_at, "excerpt": False}]


def test_other_devices_hear_of_it(alice: Client, id: str) -> None:
    cursor = alice.get("recordings/changes/").json["cursor"]
    for act in ("share", "revoke"):
        if act == "share":
            made = make(alice, id)
        else:
            revoke(alice, id, made["id"])
        news = alice.get(f"recordings/changes/?cursor={cursor}").json
        assert [each["id"] for each in news["changes"]] == [id]
        assert news["changes"][0]["version"] == kept(alice.user_id, id).version
        cursor = news["cursor"]
        check_books(alice.user_id)


def test_a_revoked_share_leaves_nothing(alice: Client, id: str) -> None:
    other = make(alice, id)
    before = snapshot()["test-users"]
    made = make(alice, id, password="open sesame", start=1, end=2)
    assert alice.delete(f"recordings/{id}/shares/{made['id']}/").status == 204
    assert snapshot()["test-users"] == before
    assert [each["id"] for each in listed(alice, id)] == [other["id"]]
    assert Excerpt.find(f"excerpt:{made['id']}", alice.user_id) is None
    assert list(objects()) == [kept(alice.user_id, id).key]
    assert alice.delete(f"recordings/{id}/shares/{made['id']}/").code == "not_found"


def test_one_recordings_share_is_not_anothers(alice: Client, id: str) -> None:
    made, other = make(alice, id), alice.record(b"other")["id"]
    before = snapshot()
    for path in (f"{other}/shares/{made['id']}", f"{id}/shares/{'0' * 64}", f"{id}/shares/{made['id'][:-1]}"):
        assert alice.delete(f"recordings/{path}/").code == "not_found"
    assert snapshot() == before


def test_what_cannot_be_shared(alice: Client, id: str) -> None:
    uploading = alice.create(b"not yet").json["recording"]["id"]
    alice.delete(f"recordings/{id}/")
    before = snapshot()
    for which, code in ((uploading, "not_ready"), (id, "not_found"), ("0" * 32, "not_found"), ("x", "not_found")):
        answer = alice.post(f"recordings/{which}/shares/", {})
        assert (answer.status, answer.code) == (409 if code == "not_ready" else 404, code)
    assert snapshot() == before


def test_what_is_in_the_trash_can_be_unshared(alice: Client, id: str) -> None:
    made = make(alice, id)
    alice.delete(f"recordings/{id}/")
    assert [each["id"] for each in listed(alice, id)] == [made["id"]]
    assert alice.delete(f"recordings/{id}/shares/{made['id']}/").status == 204
    row = kept(alice.user_id, id)
    assert (row.shares, row.shelf) == (None, f"{alice.user_id}#trash")


def test_at_most_20_living_shares(alice: Client, id: str) -> None:
    made = [make(alice, id) for _ in range(20)]
    before = snapshot()
    answer = alice.post(f"recordings/{id}/shares/", {})
    assert (answer.status, answer.code) == (409, "too_many_shares")
    assert snapshot() == before
    expire(alice, id, made[3]["id"])
    make(alice, id)
    assert len(listed(alice, id)) == 20


def test_expired_ones_are_not_listed_and_go_at_the_next_write(alice: Client, id: str) -> None:
    old, excerpt = make(alice, id), make(alice, id, start=0, end=1)
    for each in (old, excerpt):
        expire(alice, id, each["id"])
    assert listed(alice, id) == []
    new = make(alice, id)
    assert [each["id"] for each in kept(alice.user_id, id).shares] == [new["id"]]
    assert [Share.of(each["id"]) for each in (old, excerpt)] == [None, None]
    work = Excerpt.find(f"excerpt:{excerpt['id']}", alice.user_id)
    assert work is not None
    assert work.due_at <= days(0)


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"at": 60.001}, "/at"),
        ({"start": 10, "end": 60.001}, "/end"),
    ],
)
def test_moments_that_the_recording_does_not_have(
    alice: Client, id: str, wanted: dict[str, Any], pointer: str
) -> None:
    make(alice, id, **wanted)  # nobody knows yet how long it is
    kept(alice.user_id, id).update([Recording.duration.set(60.0)])
    before = snapshot()
    answer = alice.post(f"recordings/{id}/shares/", wanted)
    assert (answer.status, answer.pointers) == (400, [pointer])
    assert snapshot() == before


def test_an_excerpt_may_be_3_hours_long_and_end_with_the_recording(alice: Client, id: str) -> None:
    kept(alice.user_id, id).update([Recording.duration.set(20000.5)])
    made = make(alice, id, start=9200.5, end=20000.5, at=10000)
    assert (made["start"], made["end"], made["at"], made["status"]) == (9200.5, 20000.5, 10000.0, "preparing")


def test_a_share_may_live_for_a_year(alice: Client, id: str) -> None:
    made = make(alice, id, expires_at=days(365).replace("Z", "+00:00"))
    assert made["expires_at"] > days(365, -30)


def test_the_same_password_typed_on_another_keyboard(alice: Client, id: str) -> None:
    share = stored(make(alice, id, password="\ube44\ubc00 caf\u00e9 1")["id"])
    assert opens(share, "\u1107\u1175\u1106\u1175\u11af cafe\u0301 1")
    assert not opens(share, "\ube44\ubc00 cafe 1")


def test_a_password_of_recorders_making(alice: Client, id: str) -> None:
    """40 random bits in characters that nobody takes for others, told once, stored as a hash."""
    made = [make(alice, id, generate_password=True) for _ in range(5)]
    assert len({each["password"] for each in made}) == 5
    for each in made:
        assert each["has_password"]
        assert re.fullmatch("[2-9a-km-np-z]{8}", each["password"])
        assert opens(stored(each["id"]), each["password"])
        assert each["password"] not in repr(snapshot())
        assert each["password"] not in repr(listed(alice, id))
    plain = [make(alice, id), make(alice, id, password="open sesame"), make(alice, id, generate_password=False)]
    assert [each["password"] for each in plain] == [None] * 3
    assert [each["has_password"] for each in plain] == [False, True, False]
    assert len(set(CLEAR)) == 32


def test_a_password_that_is_shorter_than_new_ones_goes_on_working(alice: Client, id: str) -> None:
    share = stored(make(alice, id)["id"])
    share.update([Share.password.set(hash_password("x"))])
    assert opens(stored(share.public_id), "x")
    assert alice.post(f"recordings/{id}/shares/", {"password": "x" * 7}).pointers == ["/password"]


def test_purging_takes_the_shares_along(alice: Client, id: str) -> None:
    make(alice, id)
    make(alice, id, start=0, end=1)
    assert len(objects()) == 2
    assert alice.delete(f"recordings/{id}/?permanent=true").status == 204
    left = snapshot()
    assert "share" not in repr(left["test-users"]) + repr(left["test-recordings"])
    assert "excerpt" not in repr(left["test-recordings"])
    assert left["objects"] == {}
    check_books(alice.user_id)


def test_closing_the_account_takes_the_shares_along(alice: Client, charlie: Client, id: str) -> None:
    make(alice, id)
    make(alice, id, start=0, end=1)
    his = make(charlie, charlie.record(b"his")["id"])
    assert alice.delete("accounts/me/").status == 202
    assert remains(alice.user_id) == []
    assert Share.of(his["id"])


def test_a_share_made_while_the_account_closes_leaves_nothing(alice: Client, id: str) -> None:
    with meanwhile("TransactWriteItems", lambda: alice.delete("accounts/me/")):
        assert alice.post(f"recordings/{id}/shares/", {}).status == 401
    assert remains(alice.user_id) == []


@pytest.mark.parametrize("meddle", ["PATCH", "DELETE"])
def test_sharing_beside_other_changes(alice: Client, id: str, meddle: str) -> None:
    with meanwhile("TransactWriteItems", lambda: alice.call(meddle, f"recordings/{id}/", {"name": "Other"})):
        answer = alice.post(f"recordings/{id}/shares/", {})
    assert answer.status == (201 if meddle == "PATCH" else 404)
    assert bool(kept(alice.user_id, id).shares) == (meddle == "PATCH")
    check_books(alice.user_id)


def test_two_shares_at_once_are_both_there(alice: Client, id: str) -> None:
    with meanwhile("TransactWriteItems", lambda: make(alice, id)):
        make(alice, id)
    assert len(listed(alice, id)) == 2
    check_books(alice.user_id)


def test_an_order_that_did_not_arrive_is_the_sweeps(alice: Client, id: str) -> None:
    with failing("PutObject"):
        made = make(alice, id, start=0, end=1)
    assert made["status"] == "preparing"
    work = Excerpt.find(f"excerpt:{made['id']}", alice.user_id)
    assert work is not None
    assert days(0) < work.due_at < days(1 / 24, 30)


def test_the_calls_that_it_takes(alice: Client, id: str) -> None:
    path = f"recordings/{id}/shares/"
    read = [*KEY, "BatchGetItem"]
    assert spent(lambda: alice.post(path, {"password": "open sesame"}), 201) == [*read, "TransactWriteItems"]
    assert spent(lambda: alice.post(path, {"start": 0, "end": 1}), 201) == [*read, "TransactWriteItems", "PutObject"]
    assert spent(lambda: alice.get(path), 200) == [*KEY, "GetItem", "BatchGetItem"]
    whole, excerpt = (each["id"] for each in listed(alice, id))
    assert spent(lambda: alice.delete(f"{path}{whole}/"), 204) == [*read, "TransactWriteItems"]
    gone = ["DeleteObject", "DeleteObject", "DeleteItem"]
    assert spent(lambda: alice.delete(f"{path}{excerpt}/"), 204) == [*read, "TransactWriteItems", *gone]
    assert spent(lambda: alice.get(path), 200) == [*KEY, "GetItem"]


def test_what_batchgetitem_leaves_over_is_asked_for_again(
    alice: Client, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aws.dynamo import Dynamo

    real, asked = Dynamo.dispatch, []

    def hesitant(self: Dynamo, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        answer = real(self, operation_name, operation_kwargs)
        if operation_name == "BatchGetItem":
            asked.append(operation_kwargs["RequestItems"])
            if len(asked) == 1:
                left = "test-changes"
                answer["Responses"].pop(left)
                answer["UnprocessedKeys"] = {left: operation_kwargs["RequestItems"][left]}
        return answer

    monkeypatch.setattr(Dynamo, "dispatch", hesitant)
    make(alice, id)
    assert [sorted(each) for each in asked] == [["test-changes", "test-recordings"], ["test-changes"]]
