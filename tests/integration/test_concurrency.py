"""Many at once, against a DynamoDB that really has them meet: nothing is counted twice, lost or left over."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from accounts import services
from aws import s3
from operations.sweep import sweep
from tests import state
from tests.client import Answer, Client, send

T = TypeVar("T")


def at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """What the jobs return, begun at the same moment, each in a thread of its own."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], T]) -> T:
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def device(client: Client) -> Client:
    """The same account in another thread."""
    return Client(client.auth_key, client.user_id, client.session_id)


def insist(act: Callable[[], Answer]) -> Answer:
    """As a client does it: 503 means again, after a while."""
    for _ in range(20):
        answer = act()
        if answer.status != 503:
            return answer
        time.sleep(float(answer.headers["Retry-After"]))
    return answer


def bring_in(client: Client, content: bytes) -> tuple[Answer, Answer]:
    """The whole way of one recording. A second writer of the same bytes may find them there."""
    created = insist(lambda: client.create(content))
    assert created.status in (200, 201), created
    if created.json["upload"]:
        assert send(created.json["upload"], content).status_code in (200, 412)
    done = insist(lambda: client.post(f"recordings/{created.json['recording']['id']}/complete/"))
    assert (done.status, done.json["status"]) == (200, "ready"), done
    return created, done


def test_twenty_recordings_at_once(alice: Client) -> None:
    contents = [b"%03d" % number * 100 for number in range(20)]
    ways = at_once([partial(bring_in, device(alice), content) for content in contents])
    versions = [version for way in ways for version in (way[0].json["recording"]["version"], way[1].json["version"])]
    assert sorted(versions) == list(range(1, 41))
    assert alice.used_bytes() == 20 * 300
    assert len(alice.shelf()) == 20
    state.check_books(alice.user_id)


def test_the_same_recording_twenty_times_at_once(alice: Client) -> None:
    ways = at_once([lambda: bring_in(device(alice), b"said once")] * 20)
    assert sorted(created.status for created, _ in ways) == [200] * 19 + [201]
    assert len({done.json["id"] for _, done in ways}) == 1
    assert {done.json["version"] for _, done in ways} == {2}
    assert alice.used_bytes() == len(b"said once")
    assert list(state.objects().values()) == [b"said once"]
    state.check_books(alice.user_id)


def test_the_same_small_upload_twenty_times_at_once(alice: Client) -> None:
    answers = at_once([lambda: insist(lambda: device(alice).upload(b"said once"))] * 20)
    assert {answer.status for answer in answers} <= {200, 201}
    assert {answer.json["status"] for answer in answers} == {"ready"}
    assert {answer.json["version"] for answer in answers} == {2}
    assert list(state.objects().values()) == [b"said once"]
    state.check_books(alice.user_id)


def test_thirty_two_writers_in_one_account(alice: Client) -> None:
    ids = [alice.upload(b"%d" % number).json["id"] for number in range(32)]
    before = state.ledger(alice.user_id).last_version
    answers = at_once([partial(device(alice).patch, f"recordings/{id}/", {"notes": "new"}) for id in ids])
    for id, answer in zip(ids, answers, strict=True):
        changed = alice.get(f"recordings/{id}/").json["notes"] == "new"
        if answer.status == 200:
            assert changed
        else:
            assert (answer.status, answer.code, changed) == (503, "busy", False)
            assert int(answer.headers["Retry-After"]) >= 1
    successes = [answer.json["version"] for answer in answers if answer.status == 200]
    assert sorted(successes) == list(range(before + 1, before + len(successes) + 1))
    state.check_books(alice.user_id)


def test_two_creates_of_which_one_fits(alice: Client) -> None:
    for number in range(10):
        services.set_quota(alice.user_id, alice.used_bytes() + 1500)
        contents = [bytes([number, which]) * 500 for which in (0, 1)]
        answers = at_once([partial(insist, partial(device(alice).create, content)) for content in contents])
        assert sorted(answer.status for answer in answers) == [201, 409]
        assert {answer.code for answer in answers if answer.status == 409} == {"quota_exceeded"}
        assert alice.used_bytes() == (number + 1) * 1000
    state.check_books(alice.user_id)


def test_everything_at_one_recording_at_once(alice: Client) -> None:
    """tests/recordings/test_schedules.py tries each order on moto; here the calls really meet."""
    content = b"wanted and not"
    id = alice.upload(content).json["id"]
    acts: list[Callable[[], Answer]] = [
        lambda: device(alice).delete(f"recordings/{id}/?permanent=true"),
        lambda: device(alice).post(f"recordings/{id}/restore/"),
        lambda: device(alice).delete(f"recordings/{id}/"),
        lambda: device(alice).upload(content),
        lambda: device(alice).create(content),
        lambda: device(alice).post(f"recordings/{id}/complete/"),
        lambda: device(alice).delete("recordings/?shelf=trash"),
    ]
    jobs: list[Callable[[], int]] = [lambda act=act: insist(act).status for act in acts]  # type: ignore[misc]
    jobs.append(lambda: sweep()["failed"])
    for _ in range(5):
        assert {*at_once(jobs)} <= {0, 200, 201, 202, 204, 404, 409}
        assert sweep()["failed"] == 0
        state.check_books(alice.user_id)
        row = state.row(alice.user_id, id)
        stored = list(state.objects().values())
        assert stored == ([content] if row and row.status == "ready" else [])
        assert alice.upload(content).status in (200, 201)


def test_the_sweep_finishes_what_was_forgotten(alice: Client) -> None:
    arrived, missing = alice.create(b"arrived"), alice.create(b"never came")
    assert send(arrived.json["upload"], b"arrived").status_code == 200
    trashed, restored = alice.record(b"thrown away"), alice.record(b"wanted again")
    for recording in (trashed, restored):
        assert alice.delete(f"recordings/{recording['id']}/").status == 204
        state.make_due(alice.user_id, recording["id"])
    assert alice.post(f"recordings/{restored['id']}/restore/").status == 200
    for created in (arrived, missing):
        state.make_due(alice.user_id, created.json["recording"]["id"])

    assert dict(sweep()) == {"completed": 1, "purged": 2}
    assert dict(sweep()) == {}
    assert {*alice.shelf()} == {arrived.json["recording"]["id"], restored["id"]}
    assert sorted(state.objects().values()) == [b"arrived", b"wanted again"]
    assert alice.used_bytes() == len(b"arrived") + len(b"wanted again")
    state.check_books(alice.user_id)


def test_two_sweeps_at_once(alice: Client) -> None:
    for number in range(12):
        created = alice.create(b"%d" % number)
        state.make_due(alice.user_id, created.json["recording"]["id"])
    counts = at_once([sweep, sweep, sweep])
    assert all(count["failed"] == 0 for count in counts)
    assert sum(count["purged"] for count in counts) >= 12
    assert (alice.used_bytes(), alice.shelf("uploading")) == (0, [])
    state.check_books(alice.user_id)


@pytest.mark.parametrize("busy", [False, True], ids=["in peace", "while it is used"])
def test_closing_leaves_nothing(alice: Client, charlie: Client, busy: bool) -> None:
    kept = charlie.record(b"charlie's")
    trashed = alice.record(b"thrown away")
    alice.delete(f"recordings/{trashed['id']}/")
    alice.delete("recordings/?shelf=trash")  # leaves an old version in the bucket
    waiting = alice.create(b"waiting")
    assert send(waiting.json["upload"], b"waiting").status_code == 200
    alice.upload(b"stored")
    large = alice.create(b"large", size=20 * 2**20)
    assert large.json["upload"]["kind"] == "multipart"

    jobs: list[Callable[[], Answer]] = [lambda: device(alice).delete("accounts/me/")]
    if busy:
        jobs += [partial(device(alice).upload, b"late %d" % number) for number in range(6)]
        jobs += [partial(device(alice).create, b"later %d" % number) for number in range(6)]
        jobs += [lambda: device(alice).post(f"recordings/{waiting.json['recording']['id']}/complete/")]
    answers = at_once([partial(insist, job) for job in jobs])
    assert answers[0].status == 202
    if busy and answers[-1].code == "upload_incomplete":  # completed while it was deleted: bytes go before the row
        answers.pop()
    assert {answer.status for answer in answers[1:]} <= {200, 201, 401, 404}, answers

    assert alice.get("accounts/me/").status == 401
    assert sweep()["failed"] == 0
    assert state.remains(alice.user_id) == []
    assert charlie.get(f"recordings/{kept['id']}/").json == kept | {"markers": []}
    assert s3.erase(f"recordings/{alice.user_id}/")


def test_two_erase_the_same(alice: Client) -> None:
    alice.upload(b"stored")
    with state.meanwhile("DeleteObjects", lambda: s3.erase(f"recordings/{alice.user_id}/")):
        assert alice.delete("accounts/me/").status == 202
    assert state.remains(alice.user_id) == []
