"""Devices that sync while others write, on a DynamoDB where their calls really meet: no copy misses anything.

tests/recordings/test_sync_machine.py knows what each single answer has to be. Here nobody can, so every transaction
that DynamoDB commits is noted as it passes on the wire, and what the devices saw is held against that.
"""

import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from pynamodb.exceptions import UpdateError
from pynamodb.expressions.update import Action

from aws.dynamo import dynamo
from lib.paging import load_cursor
from operations.events import object_created
from operations.sweep import sweep
from recordings.keys import UserId
from recordings.models import Change, Ledger, Recording, due_shard
from recordings.uploads import id_of
from tests import state
from tests.client import Answer, Client, send, sha256
from tests.integration.test_concurrency import at_once, device, insist
from tests.mirror import Entry, Mirror, stored

CONTENTS = [b"said in lecture %d" % number for number in range(16)]
TIME_TO_ANSWER = 30  # seconds, which is what API Gateway waits for an answer


class Commit(NamedTuple):
    """One version that was taken, and by which thread."""

    version: int
    id: str
    deleted: bool
    thread: int


@contextmanager
def committed() -> Iterator[list[Commit]]:
    """Each change row that a transaction of this process puts in, once DynamoDB has said yes."""
    commits: list[Commit] = []

    def remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        items = json.loads(params["body"])["TransactItems"]
        context["changes"] = [
            item["Put"]["Item"] for item in items if item.get("Put", {}).get("TableName") == settings.CHANGES_TABLE
        ]

    def note(http_response: Any, context: dict[str, Any], **_: Any) -> None:
        for row in context["changes"] if http_response.status_code == 200 else []:
            deleted, version = "deleted" in row, int(row["version"]["N"])
            if version > 0:  # a grave takes none
                commits.append(Commit(version, row["recording_id"]["S"], deleted, threading.get_ident()))

    events = dynamo().client.meta.events
    hooks: dict[str, Callable[..., None]] = {"before-call": remember, "after-call": note}
    for event, hook in hooks.items():
        events.register(f"{event}.dynamodb.TransactWriteItems", hook)
    try:
        yield commits
    finally:
        for event, hook in hooks.items():
            events.unregister(f"{event}.dynamodb.TransactWriteItems", hook)


def check_log(user_id: UserId, commits: list[Commit]) -> dict[int, Commit]:
    """Versions 1…n, each once, and the table of changes is what they leave behind. Returns them by version."""
    log = {commit.version: commit for commit in commits}
    assert sorted(commit.version for commit in commits) == list(range(1, len(commits) + 1))
    assert state.ledger(user_id).last_version == len(commits)
    newest = newest_of(log)
    expected = {
        version: (commit.id, commit.deleted)
        for version, commit in sorted(log.items())
        if commit.deleted or newest[commit.id] == version
    }
    rows = Change.all_of(user_id)
    assert {row.version: (row.recording_id, bool(row.deleted)) for row in rows} == expected
    state.check_books(user_id)
    return log


def newest_of(log: dict[int, Commit]) -> dict[str, int]:
    """By id, the last version that a recording has had."""
    return {log[version].id: version for version in sorted(log)}


def has_answered(act: Callable[[], Answer], commits: list[Commit], changes: int = 1) -> Answer:
    """An answer within its time. 503 says when to come again, and changed nothing.

    Of a call that makes several `changes`, 503 left out the last one at least.
    """
    here = threading.get_ident()
    before, start = sum(commit.thread == here for commit in list(commits)), time.monotonic()
    answer = act()
    assert time.monotonic() - start < TIME_TO_ANSWER
    if answer.status >= 500:
        assert answer.status == 503, answer
        assert int(answer.headers["Retry-After"]) >= 1
        assert sum(commit.thread == here for commit in list(commits)) - before < changes
    return answer


class Writer:
    """A device that does one thing after another, as its seed says."""

    def __init__(self, client: Client, seed: str, commits: list[Commit]) -> None:
        self.client, self.random, self.commits = device(client), random.Random(seed), commits
        self.statuses: Counter[int] = Counter()

    def work(self, steps: int) -> Counter[int]:
        acts = {"upload": 5, "record": 3, "create": 2, "edit": 8, "trash": 4, "restore": 2, "purge": 2}
        rare = {"empty_trash": 1, "sweep": 1}
        weights = acts | rare
        for name in self.random.choices(list(weights), list(weights.values()), k=steps):
            getattr(self, name)(CONTENTS[self.random.randrange(len(CONTENTS))])
        return self.statuses

    def path(self, content: bytes) -> str:
        return f"recordings/{id_of(self.client.user_id, sha256(content))}/"

    def ask(self, act: Callable[[], Answer], *expected: int, changes: int = 1) -> Answer:
        answer = has_answered(act, self.commits, changes)
        assert answer.status in (*expected, 503), answer
        assert answer.code in (None, "not_found", "upload_incomplete", "precondition_failed", "busy"), answer
        self.statuses[answer.status] += 1
        return answer

    def upload(self, content: bytes) -> None:
        self.ask(lambda: self.client.upload(content), 200, 201, changes=9)  # it may meet a purge, and begin again

    def create(self, content: bytes) -> Answer:
        return self.ask(lambda: self.client.create(content), 200, 201)

    def record(self, content: bytes) -> None:
        created = self.create(content)
        if created.status != 503 and created.json["upload"]:
            assert send(created.json["upload"], content).status_code in (200, 412)
            self.ask(lambda: self.client.post(f"{self.path(content)}complete/"), 200, 404, 409)

    def edit(self, content: bytes) -> None:
        tag = {"if_match": '"3"'} if self.random.random() < 0.1 else {}
        values = {"name": f"{self.random.randrange(10**6)}", "tags": self.random.choices("abc", k=1)}
        self.ask(lambda: self.client.patch(self.path(content), values, **tag), 200, 404, 412)

    def trash(self, content: bytes) -> None:
        self.ask(lambda: self.client.delete(self.path(content)), 204, 404)

    def restore(self, content: bytes) -> None:
        self.ask(lambda: self.client.post(f"{self.path(content)}restore/"), 200, 404)

    def purge(self, content: bytes) -> None:
        self.ask(lambda: self.client.delete(f"{self.path(content)}?permanent=true"), 204, 404)

    def empty_trash(self, content: bytes) -> None:
        self.ask(lambda: self.client.delete("recordings/?shelf=trash"), 202, changes=len(CONTENTS))

    def sweep(self, content: bytes) -> None:
        id = id_of(self.client.user_id, sha256(content))
        with suppress(UpdateError):  # it is not there
            actions: list[Action] = [Recording.due_at.set(state.LONG_AGO), Recording.due_shard.set(due_shard(id))]
            Recording(id, self.client.user_id).update(actions, condition=Recording.id.exists())
        sweep()  # what it can't finish for the others' sake, the next one does


class Page(NamedTuple):
    """What a device learned between two positions of the account's versions."""

    start: int
    end: int
    ids: set[str]


class Watcher:
    """A device that syncs all the time, now and then from a backup of itself, and notes what it is shown."""

    def __init__(self, client: Client, seed: str, witnessed: dict[int, Entry]) -> None:
        self.client, self.random, self.witnessed = device(client), random.Random(seed), witnessed
        self.mirror, self.kept, self.pages = Mirror(), [Mirror()], list[Page]()

    def position(self) -> int:
        position: int = load_cursor(self.mirror.cursor, self.client.user_id, "changes")[0] if self.mirror.cursor else 0
        return position

    def watch(self, writers: list[Future[Any]]) -> None:
        while not all(writer.done() for writer in writers):
            self.follow(self.random.choice([1, 2, 3, 7, 100]))
            if self.random.random() < 0.2:
                self.kept.append(self.mirror.copy())
            if self.random.random() < 0.05:
                self.mirror = self.random.choice(self.kept).copy()
            time.sleep(0.01)

    def follow(self, limit: int) -> bool:
        start = self.position()
        entries, more = self.mirror.follow(self.client, limit)
        end = self.position()
        self.pages.append(Page(start, end, {entry["id"] for entry in entries}))
        for entry in entries:
            if not entry.get("deleted"):
                assert entry["version"] > start, "what is older was in the mirror already"
                assert self.witnessed.setdefault(entry["version"], entry) == entry, "one version, two things"
        return more

    def catch_up(self) -> dict[str, Entry]:
        while self.follow(self.random.choice([1, 5, 100])):
            pass
        return self.mirror.rows

    def check(self, log: dict[int, Commit], there: dict[str, Entry]) -> None:
        """It missed nothing: not now, not on any page, and not from any cursor that it was given."""
        assert self.catch_up() == there
        for backup in self.random.sample(self.kept, min(4, len(self.kept))):
            self.mirror = backup
            assert self.catch_up() == there
        newest = newest_of(log)
        for page in self.pages:
            for version in range(page.start + 1, page.end + 1):
                assert log[version].id in page.ids or newest[log[version].id] > page.end, f"{version} was missed"


def drive(client: Client, *, writers: int, steps: int, watchers: int = 3) -> None:
    """Random writers, and devices that sync meanwhile; at rest every copy is what the server has."""
    seed = secrets.token_hex(4)
    print(f"seed {seed}")  # shown when it fails
    witnessed: dict[int, Entry] = {}
    with committed() as commits:
        writing = [Writer(client, f"{seed} writer {number}", commits) for number in range(writers)]
        watching = [Watcher(client, f"{seed} watcher {number}", witnessed) for number in range(watchers)]
        with ThreadPoolExecutor(writers + watchers) as pool:
            at_work = [pool.submit(writer.work, steps) for writer in writing]
            seen = [pool.submit(watcher.watch, at_work) for watcher in watching]
        ended: list[Future[Any]] = [*at_work, *seen]
        for each in ended:
            each.result()
        for key in state.objects():  # S3's events: one deletes what came too late for its attempt
            object_created(key)
        assert sweep()["failed"] == 0
    statuses = sum((writer.statuses for writer in writing), Counter[int]())
    print(f"{len(commits)} versions, answers {dict(statuses)}, {sum(len(each.pages) for each in watching)} pages")
    log = check_log(client.user_id, commits)
    there = stored(client)
    for watcher in watching:
        watcher.check(log, there)
    for version, entry in witnessed.items():
        assert (log[version].id, log[version].deleted) == (entry["id"], False)
    assert client.used_bytes() == sum(entry["size"] for entry in there.values())
    proven = {entry["sha256"] for entry in there.values() if entry["verified_at"]}
    assert sorted(map(sha256, state.objects().values())) == sorted(proven)


def test_devices_that_sync_while_others_write(alice: Client) -> None:
    drive(alice, writers=6, steps=40)


@pytest.mark.soak
@pytest.mark.parametrize("writers", [2, 8, 32])
def test_devices_that_sync_while_others_write_for_long(alice: Client, writers: int) -> None:
    drive(alice, writers=writers, steps=1600 // writers)


def test_thirty_two_writers_of_whole_lives(alice: Client) -> None:
    """Each gets done what it came for, whoever else is there, and the account adds up to exactly that."""
    refusals: list[Answer] = []

    def insisted(act: Callable[[], Answer], changes: int = 1) -> Answer:
        def once() -> Answer:
            answer = has_answered(act, commits, changes)
            refusals.extend([answer] if answer.status == 503 else [])
            return answer

        return insist(once)

    def live(number: int) -> list[int]:
        """A recording's life, of which every other one ends; the versions that it was told."""
        client, content = device(alice), b"%02d" % number * (number + 1)
        brought = insisted(lambda: client.upload(content), changes=2)
        assert brought.json["status"] == "ready", brought
        path = f"recordings/{brought.json['id']}/"
        assert insisted(lambda: client.delete(path)).status == 204
        if number % 2:
            assert insisted(lambda: client.delete(f"{path}?permanent=true")).status == 204
            return [brought.json["version"]]
        restored = insisted(lambda: client.post(f"{path}restore/"))
        assert (restored.status, restored.json["trashed_at"]) == (200, None)
        return [brought.json["version"], restored.json["version"]]

    with committed() as commits:
        told = at_once([lambda number=number: live(number) for number in range(32)])  # type: ignore[misc]
        sweep()  # what a purge has left to it
    print(f"{len(commits)} versions, {len(refusals)} calls had to come again")
    log = check_log(alice.user_id, commits)
    assert len(log) == 32 * 4
    assert {version for versions in told for version in versions} <= log.keys()
    assert len({version for versions in told for version in versions}) == 32 + 16
    assert alice.used_bytes() == sum(2 * (number + 1) for number in range(0, 32, 2))
    assert len(alice.shelf()) == 16


def test_a_first_sync_of_ten_thousand_recordings(alice: Client) -> None:
    """Complete and in order, in pages, though some of it changes on the way."""
    count = 10_000
    hashes = [sha256(b"%d" % number) for number in range(count)]
    ids = [id_of(alice.user_id, each) for each in hashes]
    moment = "2026-01-01T09:00:00.000Z"
    seconds = [f"{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}" for number in range(count)]
    with Recording.batch_write() as rows, Change.batch_write() as changes:
        for version, id in enumerate(ids, 1):
            row = Recording(id, alice.user_id, created_at=moment, updated_at=moment)
            row.recorded_at = f"2026-01-01T{seconds[version - 1]}.000Z"
            row.name, row.size, row.content_type, row.sha256 = "Talk.wav", 10, "audio/wav", hashes[version - 1]
            row.status, row.verified_at, row.version, row.attempt = "ready", moment, version, "0" * 32
            row.shelf = f"{alice.user_id}#library"
            rows.save(row)
            changes.save(Change(alice.user_id, version, recording_id=id))
    books: list[Action] = [Ledger.last_version.set(count), Ledger.used_bytes.set(10 * count)]
    state.ledger(alice.user_id).update(books)

    mirror, entries, pages, more = Mirror(), list[Entry](), 0, True
    while more:
        page, more = mirror.follow(alice, 100)
        entries, pages = entries + page, pages + 1
        if pages == 50:  # something that it has, something that is still to come, and something new
            assert alice.patch(f"recordings/{ids[10]}/", {"name": "New"}).status == 200
            assert alice.delete(f"recordings/{ids[-1]}/?permanent=true").status == 204
            new = alice.upload(b"new").json
    assert pages == 101
    left = [id for id in ids if id != ids[-1]]
    assert [entry["id"] for entry in entries] == [*left, ids[10], ids[-1], new["id"]]
    assert [entry["version"] for entry in entries[: count - 1]] == list(range(1, count))
    assert (entries[-3]["name"], entries[-3]["version"]) == ("New", count + 1)
    assert entries[-2:] == [{"id": ids[-1], "deleted": True}, new]
    assert mirror.rows == stored(alice)
    assert len(mirror.rows) == count
    state.check_books(alice.user_id)
