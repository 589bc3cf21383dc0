"""manage.py carry_over: what was ended since the moment to which the tables were restored stays ended."""

import io
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from accounts.models import Account
from lib.clock import now
from recordings.models import Grave, Recording
from tests.accounts.conftest import SignIn
from tests.accounts.test_identities import identities, link
from tests.client import Client, sha256, sign_up
from tests.mirror import Mirror, stored
from tests.recordings.test_events import tell
from tests.recordings.test_following import soon
from tests.recordings.test_verifying import verify
from tests.state import TABLES, calls, kept, ledger, objects, put, row

KEPT, PURGED, EDITED, SHARED = b"kept" * 9, b"purged" * 9, b"edited" * 9, b"shared" * 9


class Restore:
    """The tables as they are at one moment, and what brings them back from it: the others are called old-… then."""

    def __init__(self) -> None:
        self.tables = boto3.resource("dynamodb", region_name=settings.AWS_REGION)
        self.then = {name: self.rows(name) for name in TABLES}
        self.moment = now()

    def rows(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.tables.Table(name).scan(ConsistentRead=True)["Items"]
        return found

    def bring_back(self) -> None:
        for name in TABLES:
            table, old = self.tables.Table(name), f"old-{name}"
            keys = [each["AttributeName"] for each in table.key_schema]
            attributes = [each for each in table.attribute_definitions if each["AttributeName"] in keys]
            self.tables.create_table(
                TableName=old,
                KeySchema=table.key_schema,
                AttributeDefinitions=attributes,
                BillingMode="PAY_PER_REQUEST",
            )
            for item in self.rows(name):
                self.tables.Table(old).put_item(Item=item)
                table.delete_item(Key={key: item[key] for key in keys})
            for item in self.then[name]:
                table.put_item(Item=item)


def carry(restore: Restore, *options: str) -> list[str]:
    """Its lines, without whose they are. It must have worked."""
    output = io.StringIO()
    tables = ("--users", "old-test-users", "--changes", "old-test-changes")
    call_command("carry_over", *tables, "--moment", restore.moment, *options, stdout=output)
    return sorted(line.partition(" ")[0] for line in output.getvalue().splitlines())


def share(client: Client, id: str) -> dict[str, Any]:
    answer = client.post(f"recordings/{id}/shares/", {"expires_at": soon()})
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json
    return found


def feed(client: Client) -> dict[str, Any]:
    answer = client.post("accounts/feeds/", {})
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture
def ids(alice: Client) -> dict[bytes, str]:
    return {content: alice.record(content)["id"] for content in (KEPT, PURGED, EDITED, SHARED)}


def end_things(alice: Client, ids: dict[bytes, str], link: str, feed_id: str) -> None:
    alice.delete(f"recordings/{ids[PURGED]}/?permanent=true")
    alice.patch(f"recordings/{ids[EDITED]}/", {"name": "Since.wav"})
    assert alice.delete(f"recordings/{ids[SHARED]}/shares/{link}/").status == 204
    assert alice.delete(f"accounts/feeds/{feed_id}/").status == 204


def test_what_was_ended_stays_ended(alice: Client, charlie: Client, ids: dict[bytes, str], nobody: Client) -> None:
    link, other = share(alice, ids[SHARED]), share(alice, ids[KEPT])
    revoked, living = feed(alice), feed(alice)
    charlie.record(KEPT)
    guest = sign_up()
    restore = Restore()
    end_things(alice, ids, link["id"], revoked["id"])
    charlie.delete("accounts/me/")
    guest.post("accounts/logout/")
    young = alice.record(b"young" * 9)
    mirror = Mirror()
    mirror.follow(alice, 100)
    restore.bring_back()
    assert [charlie.get("accounts/me/").status, guest.get("accounts/me/").status] == [200, 200]

    expected = {"changed", "closed", "feed_deleted", "purged", "revoked", "signed_out", "versions"}
    assert set(carry(restore, "--dry-run")) == expected
    assert charlie.get("accounts/me/").status == 200
    assert set(carry(restore)) == expected
    assert carry(restore) == []

    assert [charlie.get("accounts/me/").status, guest.get("accounts/me/").status] == [401, 401]
    assert row(alice.user_id, ids[PURGED]) is None
    assert not any(ids[PURGED] in key for key in objects())
    assert [each["id"] for each in alice.get(f"recordings/{ids[KEPT]}/shares/").json["results"]] == [other["id"]]
    assert alice.get(f"recordings/{ids[SHARED]}/shares/").json["results"] == []
    assert kept(alice.user_id, ids[SHARED]).shares is None
    assert [each["id"] for each in alice.get("accounts/feeds/").json["results"]] == [living["id"]]
    assert kept(alice.user_id, ids[EDITED]).name == "Talk.wav"

    verify("--account", alice.user_id, "--repair")
    assert verify("--account", alice.user_id) == []
    while mirror.follow(alice, 100)[1]:
        pass
    there = stored(alice)
    assert {id: each for id, each in mirror.rows.items() if id != young["id"]} == there
    assert ledger(alice.user_id).last_version > young["version"]


def test_a_login_that_was_unlinked_stays_unlinked(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    for name in ("alice at work", "alice at home"):
        assert link(alice, name).status == 201
    first, work, home = identities(alice)
    restore = Restore()
    assert alice.delete(f"accounts/identities/{work['id']}/").status == 204
    restore.bring_back()
    old = restore.tables.Table("old-test-users")
    for item in restore.rows("old-test-users"):  # renamed since, as name_issuers does
        if item.get("identity_id") == home["id"]:
            old.delete_item(Key={"id": item["id"], "auth_key": "identity"})
            old.put_item(Item=item | {"id": "identity:another:name"})
    assert carry(restore) == ["unlinked"]
    assert identities(alice) == [first, home]
    assert carry(restore) == []


def test_an_account_that_is_only_missing_is_not_closed(alice: Client, ids: dict[bytes, str]) -> None:
    restore = Restore()
    restore.bring_back()
    restore.tables.Table("old-test-users").delete_item(Key={"id": alice.user_id, "auth_key": "account"})
    with pytest.raises(SystemExit):
        carry(restore)
    assert Account.of(alice.user_id)
    assert alice.get("recordings/").status == 200


def test_what_came_after_the_restore_is_left_alone(alice: Client, ids: dict[bytes, str]) -> None:
    restore = Restore()
    restore.bring_back()
    later = sign_up()
    later.record(KEPT)
    link = share(alice, ids[KEPT])
    assert carry(restore) == []
    assert later.get("accounts/me/").status == 200
    assert [each["id"] for each in alice.get(f"recordings/{ids[KEPT]}/shares/").json["results"]] == [link["id"]]


def test_a_later_life_is_not_purged_for_an_earlier_one(alice: Client, ids: dict[bytes, str]) -> None:
    alice.delete(f"recordings/{ids[PURGED]}/?permanent=true")
    again = alice.record(PURGED)
    restore = Restore()
    restore.bring_back()
    assert carry(restore) == []
    assert Recording.find(again["id"], alice.user_id)
    assert sha256(PURGED) == kept(alice.user_id, again["id"]).sha256


def test_late_bytes_of_what_was_purged_again_cost_one_look(alice: Client, ids: dict[bytes, str]) -> None:
    """What the restore took away of a purge is there again, its grave too."""
    purged = kept(alice.user_id, ids[PURGED])
    restore = Restore()
    alice.delete(f"recordings/{purged.id}/?permanent=true")
    restore.bring_back()
    assert Grave.find(alice.user_id, Grave.place(purged.id, purged.life)) is None
    assert carry(restore) == ["purged", "versions"]
    put(purged.key, PURGED)
    with calls() as sent:
        assert tell(purged.key) == {"orphan": 1}
    assert "Query" not in sent
    assert purged.key not in objects()


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-24T09:00:00"])
def test_the_moment_is_a_time_with_its_zone(moment: str) -> None:
    carry_over: Callable[..., Any] = call_command
    with pytest.raises(CommandError):
        carry_over("carry_over", "--users", "x", "--changes", "x", "--moment", moment)
