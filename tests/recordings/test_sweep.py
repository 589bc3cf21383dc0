"""manage.py sweep: everything that is due is completed, purged or closed, whoever forgot it."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, Session
from lib.clock import days_from_now, now
from operations import sweep as sweeping
from recordings.models import Recording, Work, due_shard
from tests.accounts.test_identities import in_between
from tests.client import Client, send
from tests.state import (
    LONG_AGO,
    check_books,
    failing,
    kept,
    ledger,
    make_due,
    meanwhile,
    objects,
    put,
    remains,
    row,
    snapshot,
    work,
)

AUDIO = b"RIFF, more or less"


def sweep(**options: float) -> str:
    out = StringIO()
    call_command("sweep", stdout=out, **options)
    return out.getvalue().strip()


def test_nothing_due_changes_nothing(alice: Client) -> None:
    alice.record(AUDIO)
    alice.create(b"uploading")
    alice.delete(f"recordings/{alice.record(b'trashed')['id']}/")
    before = snapshot()
    assert sweep() == "nothing due"
    assert snapshot() == before


def test_completes_an_upload_whose_bytes_are_there(alice: Client) -> None:
    """The app died right after its last byte: a recording is kept and not abandoned."""
    created = alice.create(AUDIO).json
    send(created["upload"], AUDIO)
    make_due(alice.user_id, created["recording"]["id"])
    assert sweep() == "1 completed"
    stored = kept(alice.user_id, created["recording"]["id"])
    assert stored.status == "ready"
    assert stored.due_at is not None
    assert stored.due_at > now()  # to be heard
    assert objects() == {stored.key: AUDIO}
    check_books(alice.user_id)


def test_abandons_an_upload_that_never_came(alice: Client) -> None:
    id = alice.create(AUDIO).json["recording"]["id"]
    make_due(alice.user_id, id)
    assert sweep() == "1 purged"
    assert row(alice.user_id, id) is None
    assert ledger(alice.user_id).used_bytes == 0
    check_books(alice.user_id)


def test_purges_trash_whose_time_has_come(alice: Client) -> None:
    old, young = alice.record(AUDIO)["id"], alice.record(b"young")["id"]
    for id in (old, young):
        alice.delete(f"recordings/{id}/")
    make_due(alice.user_id, old)
    assert sweep() == "1 purged"
    assert alice.shelf("trash") == [young]
    assert objects() == {kept(alice.user_id, young).key: b"young"}
    check_books(alice.user_id)


@pytest.mark.parametrize("operation", ["DeleteObject", "TransactWriteItems"])
def test_finishes_a_purge_that_stopped_half_way(alice: Client, operation: str) -> None:
    id = alice.record(AUDIO)["id"]
    with failing("DeleteObject"):
        alice.delete(f"recordings/{id}/?permanent=true")
    with failing(operation), pytest.raises(CommandError, match="1 rows failed"):
        sweep()
    assert kept(alice.user_id, id).status == "purging"
    assert sweep() == "1 purged"
    assert row(alice.user_id, id) is None
    assert objects() == {}
    check_books(alice.user_id)


def test_finishes_an_empty_trash(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    alice.delete(f"recordings/{id}/")
    with failing("Query"):
        alice.delete("recordings/?shelf=trash")
    assert row(alice.user_id, id) is not None
    assert sweep() == "1 emptied"
    assert (row(alice.user_id, id), work("trash", alice.user_id)) == (None, None)


def test_keeps_a_newer_order_to_empty_the_trash(alice: Client) -> None:
    alice.delete("recordings/?shelf=trash")
    newer = Work.of("trash", alice.user_id, due_at="2999-01-01T00:00:00.000Z")
    newer.created_at = newer.due_at
    with meanwhile("TransactWriteItems", newer.save):
        assert sweep() == "1 emptied"
    order = work("trash", alice.user_id)
    assert order is not None
    assert order.created_at == newer.created_at


def test_what_was_restored_meanwhile_stays(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    alice.delete(f"recordings/{id}/")
    make_due(alice.user_id, id)
    with meanwhile("TransactWriteItems", lambda: alice.post(f"recordings/{id}/restore/")):
        assert sweep() == "1 changed"
    assert alice.shelf() == [id]
    assert list(objects().values()) == [AUDIO]


def test_what_the_index_still_shows_is_looked_at_anew(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """On AWS an index follows its table within moments."""
    id = alice.record(AUDIO)["id"]
    shard = due_shard(id)
    due = {shard: [(id, alice.user_id), ("0" * 32, alice.user_id), ("trash:" + alice.user_id, alice.user_id)]}
    monkeypatch.setattr(Recording, "due", lambda shard, until, **page: (due.get(shard, []), None))
    before = snapshot()
    assert sweep() == "3 changed"
    assert snapshot() == before


def test_wrong_bytes_give_an_upload_new_time(alice: Client) -> None:
    id = alice.create(AUDIO, size=5).json["recording"]["id"]
    stored = kept(alice.user_id, id)
    put(stored.key, b"wrong")
    make_due(alice.user_id, id)
    assert sweep() == "1 changed"
    again = kept(alice.user_id, id)
    assert (again.status, again.discarded) == ("uploading", [stored.attempt])
    assert again.due_at is not None
    assert again.due_at > days_from_now(6)
    assert objects() == {}


def test_a_fault_in_one_holds_up_no_other(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [alice.create(b"%d" % number).json["recording"]["id"] for number in range(4)]
    for id in ids:
        make_due(alice.user_id, id)
    settle_one = sweeping.settle_one

    def fail_on_one(id: str, *args: object, **how: bool) -> str:
        if id == ids[1]:
            raise RuntimeError("made up")
        return settle_one(id, *args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(sweeping, "settle_one", fail_on_one)
    with pytest.raises(CommandError, match=r"1 rows failed; they stay due"):
        sweep()
    assert alice.shelf("uploading") == [ids[1]]


def test_stops_in_time_and_the_next_goes_on(alice: Client) -> None:
    for number in range(3):
        make_due(alice.user_id, alice.create(b"%d" % number).json["recording"]["id"])
    assert sweep(seconds=-1) == "1 postponed"
    assert len(alice.shelf("uploading")) == 3
    assert sweep() == "3 purged"


def test_finishes_a_closing(alice: Client, charlie: Client) -> None:
    alice.record(AUDIO)
    charlie.record(AUDIO)
    with failing("ListObjectVersions"):
        assert alice.delete("accounts/me/").status == 202
    assert alice.get("accounts/me/").status == 401
    assert list(objects().values()) == [AUDIO, AUDIO]
    assert sweep() == "1 closed"
    assert remains(alice.user_id) == []
    assert list(objects().values()) == [AUDIO]


def test_closes_a_guest_who_was_not_seen_for_thirty_days(alice: Client) -> None:
    alice.record(AUDIO)
    make_due(alice.user_id, f"account:{alice.user_id}")
    assert sweep() == "1 waiting"
    order = work("account", alice.user_id)
    assert order is not None
    assert days_from_now(29) < order.due_at < days_from_now(30.1)
    session = Session.all_of(alice.user_id)[0]
    session.update([Session.last_seen_at.set(LONG_AGO)])
    make_due(alice.user_id, f"account:{alice.user_id}")
    assert sweep() == "1 closed"
    assert remains(alice.user_id) == []
    assert alice.get("accounts/me/").status == 401


@pytest.mark.parametrize("path", ["POST accounts/logout/", "DELETE accounts/sessions/{}/"])
def test_closes_a_guest_thirty_days_after_signing_out(alice: Client, path: str) -> None:
    """However long before that the account was made, and whatever day was its last until then."""
    account = Account(alice.user_id)
    account.update([Account.created_at.set(LONG_AGO)])
    alice.record(AUDIO)
    method, _, path = path.format(alice.session_id).partition(" ")
    assert alice.call(method, path).status == 204
    assert Session.all_of(alice.user_id) == []
    make_due(alice.user_id, f"account:{alice.user_id}")
    assert sweep() == "1 waiting"
    order = work("account", alice.user_id)
    assert order is not None
    assert days_from_now(29.9) < order.due_at < days_from_now(30.1)
    assert list(objects().values()) == [AUDIO]
    account.update([Account.seen_at.set(days_from_now(-30.01))])
    make_due(alice.user_id, f"account:{alice.user_id}")
    assert sweep() == "1 closed"
    assert remains(alice.user_id) == []


def test_a_guest_whom_an_operator_signs_out_stays_for_thirty_days(alice: Client) -> None:
    Account(alice.user_id).update([Account.created_at.set(LONG_AGO)])
    call_command("account", alice.user_id, "--sign-out", stdout=StringIO())
    assert Session.all_of(alice.user_id) == []
    make_due(alice.user_id, f"account:{alice.user_id}")
    assert sweep() == "1 waiting"
    assert Account.of(alice.user_id)


def test_an_operator_signs_out_beside_somebody_else(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another has ended meanwhile is no fault, and keeps no session in."""
    gone = Session.new(alice.user_id, "0" * 64, device_name="")
    sessions = [gone, *Session.all_of(alice.user_id)]
    with monkeypatch.context() as patch:
        patch.setattr(Session, "all_of", lambda user_id: sessions)
        call_command("account", alice.user_id, "--sign-out", stdout=StringIO())
    assert Session.all_of(alice.user_id) == []


@pytest.mark.parametrize("days", [29.9, 30.1])
def test_closes_a_guest_of_whom_only_the_account_is_left(alice: Client, days: float) -> None:
    Session.all_of(alice.user_id)[0].delete()
    Account(alice.user_id).update([Account.created_at.set(days_from_now(-days))])
    make_due(alice.user_id, f"account:{alice.user_id}")
    assert sweep() == ("1 waiting" if days < 30 else "1 closed")
    assert bool(Account.of(alice.user_id)) == (days < 30)


def test_a_guest_who_signs_out_just_then_stays_for_thirty_days(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    Session.all_of(alice.user_id)[0].update([Session.last_seen_at.set(LONG_AGO)])
    Account(alice.user_id).update([Account.created_at.set(LONG_AGO)])
    make_due(alice.user_id, f"account:{alice.user_id}")
    in_between(monkeypatch, Session, "all_of", lambda: alice.post("accounts/logout/"))
    assert sweep() == "1 waiting"
    assert Session.all_of(alice.user_id) == []
    assert sweep() == "1 waiting"
    order = work("account", alice.user_id)
    assert order is not None
    assert days_from_now(29.9) < order.due_at


def test_a_guest_who_comes_back_just_then_stays(alice: Client) -> None:
    Session.all_of(alice.user_id)[0].update([Session.last_seen_at.set(LONG_AGO)])
    make_due(alice.user_id, f"account:{alice.user_id}")
    with meanwhile("TransactWriteItems", lambda: alice.get("accounts/me/")):
        assert sweep() == "1 waiting"
    assert alice.get("accounts/me/").status == 200


def test_emptying_and_purging_survive_a_closing(alice: Client) -> None:
    """Work of an account that is gone ends instead of failing for ever."""
    id = alice.record(AUDIO)["id"]
    alice.delete(f"recordings/{id}/")
    make_due(alice.user_id, id)
    with failing("Query"):
        alice.delete("recordings/?shelf=trash")
    alice.delete("accounts/me/")
    assert sweep() == "nothing due"
    assert remains(alice.user_id) == []
