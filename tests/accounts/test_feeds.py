"""Podcast feeds of an account: made, listed, closed, and gone with it. tests/web/test_feeds.py reads them."""

from typing import Any

import pytest

from accounts import feeds, transactions
from accounts.models import Account, Feed
from lib.secrets import hashed
from tests.accounts.test_identities import in_between
from tests.client import HOST, Answer, Client
from tests.state import calls, failing, remains, snapshot

KEY = ["GetItem"]


def make(client: Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("accounts/feeds/", fields)
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json
    return made


def token_of(feed: dict[str, Any]) -> str:
    return str(feed["url"]).rpartition("/")[2].removesuffix(".xml")


def listed(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("accounts/feeds/").json["results"]
    return found


def test_the_address_is_told_once_and_stored_as_a_hash(alice: Client) -> None:
    answer = alice.post("accounts/feeds/", {"tag": "family", "title": "At home"})
    feed = answer.json
    token = token_of(feed)
    assert feed["url"] == f"https://{HOST}/feed/{token}.xml"
    assert len(token) == 43
    assert answer.headers["Cache-Control"] == "no-store"
    assert {name: feed[name] for name in ("id", "tag", "title")} == {
        "id": hashed(token),
        "tag": "family",
        "title": "At home",
    }
    assert listed(alice) == [{name: value for name, value in feed.items() if name != "url"}]
    assert token not in repr(snapshot())
    row = Feed.of(feed["id"])
    assert row
    assert (row.user_id, row.tag, row.title, row.created_at) == (
        alice.user_id,
        "family",
        "At home",
        feed["created_at"],
    )


@pytest.mark.parametrize(
    ("fields", "title"), [({}, "Recorder"), ({"tag": "family"}, "family"), ({"title": "Mine"}, "Mine")]
)
def test_a_title_is_there_in_any_case(alice: Client, fields: dict[str, str], title: str) -> None:
    feed = make(alice, **fields)
    assert (feed["title"], feed["tag"]) == (title, fields.get("tag"))


def test_the_oldest_stands_first(alice: Client) -> None:
    assert listed(alice) == []
    made = [make(alice, title=f"Feed {number}")["id"] for number in range(3)]
    assert [row["id"] for row in listed(alice)] == made


def test_ten_and_no_more(alice: Client) -> None:
    first = make(alice)
    for _ in range(9):
        make(alice)
    before = snapshot()
    answer = alice.post("accounts/feeds/", {})
    assert (answer.status, answer.code) == (409, "too_many_feeds")
    assert snapshot() == before
    alice.delete(f"accounts/feeds/{first['id']}/")
    make(alice)


def test_two_at_once_are_both_kept_and_the_eleventh_is_not(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(8):
        make(alice)
    in_between(monkeypatch, feeds, "open_feed", lambda: make(alice))
    make(alice)
    assert len(listed(alice)) == 10
    monkeypatch.undo()
    alice.delete(f"accounts/feeds/{listed(alice)[0]['id']}/")
    in_between(monkeypatch, feeds, "open_feed", lambda: make(alice))
    assert alice.post("accounts/feeds/", {}).code == "too_many_feeds"
    assert len(listed(alice)) == 10


def test_a_deleted_feed_is_gone(alice: Client) -> None:
    kept, gone = make(alice), make(alice)
    path = f"accounts/feeds/{gone['id']}/"
    assert alice.delete(path).status == 204
    assert (alice.delete(path).status, Feed.of(gone["id"])) == (404, None)
    assert [row["id"] for row in listed(alice)] == [kept["id"]]


def test_two_who_delete_at_once(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"accounts/feeds/{make(alice)['id']}/"
    in_between(monkeypatch, feeds, "close_feed", lambda: alice.delete(path))
    assert alice.delete(path).status == 404
    account = Account.of(alice.user_id)
    assert account
    assert account.feeds == []


def test_a_stranger_deletes_nothing(alice: Client, charlie: Client) -> None:
    feed = make(alice)
    before = snapshot()
    assert charlie.delete(f"accounts/feeds/{feed['id']}/").status == 404
    assert listed(charlie) == []
    assert snapshot() == before


def test_feeds_go_with_their_account(alice: Client) -> None:
    made = [make(alice)["id"] for _ in range(3)]
    with failing("ListObjectVersions", "Query"):
        assert alice.delete("accounts/me/").status in (202, 503)  # what comes after its transaction fails
    assert [Feed.of(id) for id in made] == [None] * 3


def test_a_feed_made_while_the_account_closes_is_not_left_behind(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Answer] = []
    in_between(monkeypatch, transactions, "close_ledger", lambda: made.append(alice.post("accounts/feeds/", {})))
    assert alice.delete("accounts/me/").status == 202
    assert made[0].status == 201
    assert Feed.of(made[0].json["id"]) is None
    assert remains(alice.user_id) == []


def test_the_export_lists_them_without_their_addresses(alice: Client) -> None:
    feed = make(alice, tag="family")
    answer = alice.get("accounts/me/export/")
    assert answer.json["account"]["feeds"] == listed(alice)
    assert token_of(feed) not in answer.content.decode()


def test_what_it_costs(alice: Client) -> None:
    with calls() as spent:
        assert listed(alice) == []
        feed = make(alice)
        listed(alice)
        alice.delete(f"accounts/feeds/{feed['id']}/")
    write = [*KEY, "GetItem", "TransactWriteItems"]
    assert spent == [*KEY, "GetItem", *write, *KEY, "GetItem", "BatchGetItem", *write]
