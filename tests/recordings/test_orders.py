"""Decoding by a function of its own: what it is told, and that its answers write nothing but what was ordered."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests
from django.core import signing
from pytest_django import Settings

from aws import functions
from lib.problems import Problem
from operations import decode_function
from operations.decode_function import StoreError
from operations.lambda_handler import handler
from operations.sweep import sweep
from recordings.analysis import analyse
from recordings.analysis.orders import MOST_BODY, SALT, Order
from recordings.models import Excerpt, Recording, Share
from tests.client import Client
from tests.recordings.test_decoding import LIES, TRUE
from tests.recordings.test_events import tell
from tests.recordings.test_sharing import make, revoke
from tests.sound import encode, tone
from tests.state import LONG_AGO, calls, check_books, kept, make_due, objects, snapshot

QUEUE = "arn:aws:sqs:ap-northeast-2:123456789012:answers"
SOUND = encode(tone(2, 8000), "wav, mu-law")


class Http:
    """urllib3 as the function uses it. moto stands behind `requests` alone."""

    def request(self, method: str, url: str, *, body: Any = None, headers: Any = None, retries: Any = None) -> Any:
        data = b"".join(body) if body else None
        answer = requests.request(method, url, data=data, headers=headers, timeout=20)
        answer.status, answer.data = int(answer.status_code), answer.content  # type: ignore[attr-defined]
        return answer


@pytest.fixture(autouse=True)
def orders(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """What the function was called with; nobody has done it yet."""
    settings.DECODE_FUNCTION, settings.DECODE_ANSWERS = "decode", QUEUE
    monkeypatch.setattr(decode_function, "http", Http())
    found: list[Order] = []

    def call(function: str, event: Order) -> None:
        assert function == "decode"
        assert len(json.dumps(event)) < 10_000
        found.append(json.loads(json.dumps(event)))

    monkeypatch.setattr(functions, "call", call)
    return found


def answered(order: Order, said: Any, condition: str = "Success", queue: str = QUEUE) -> dict[str, int]:
    """What comes of an answer, as Lambda's destination puts it into the queue.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    told = {
        "version": "1.0",
        "timestamp": "2026-11-24T09:00:00.000Z",
        "requestContext": {
            "requestId": "1",
            "functionArn": "arn",
            "condition": condition,
            "approximateInvokeCount": 1,
        },
        "requestPayload": order,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": said,
    }
    return delivered(json.dumps(told), queue)


def delivered(body: str, queue: str = QUEUE) -> dict[str, int]:
    return handler({"Records": [{"eventSource": "aws:sqs", "eventSourceARN": queue, "body": body}]})


def done(order: Order) -> dict[str, int]:
    """The function does it, and its answer arrives."""
    return answered(order, decode_function.handler(order))


@pytest.fixture
def sound(alice: Client) -> Recording:
    row: Recording = kept(alice.user_id, alice.record(SOUND)["id"])
    return row


def test_an_event_orders_it_and_the_answer_is_written(alice: Client, sound: Recording, orders: list[Order]) -> None:
    with calls() as sent:
        assert tell(sound.key) == {"ready": 1}
    assert "GetObject" not in sent
    (order,) = orders
    assert kept(alice.user_id, sound.id).playable is None
    assert done(order) == {"ready": 1}
    row = kept(alice.user_id, sound.id)
    assert (row.playable, row.duration, row.codec, row.tries, row.due_at) == (True, 2.0, "pcm_mulaw", None, None)
    assert alice.get(f"recordings/{sound.id}/waveform/").status == 200
    check_books(alice.user_id)


def test_an_order_says_no_more_than_it_must(alice: Client, sound: Recording, orders: list[Order]) -> None:
    """One URL, to read one object; nothing of the account."""
    tell(sound.key)
    (order,) = orders
    assert order.keys() == {"task", "url", "seal"}
    assert requests.get(order["url"], timeout=20).content == SOUND
    assert sound.name not in json.dumps(order)


def test_the_function_has_neither_settings_nor_the_store() -> None:
    program = (
        "from operations.decode_function import handler; import sys; print(sorted({'django', 'boto3', 'botocore',"
    )
    program += " 'pynamodb', 'av', 'numpy'} & set(sys.modules)))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_real_process_decodes_in_it(
    alice: Client, sound: Recording, orders: list[Order], real_decoder: None, capfd: pytest.CaptureFixture[str]
) -> None:
    tell(sound.key)
    assert done(orders[0]) == {"ready": 1}
    assert kept(alice.user_id, sound.id).playable
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"route": "read"' in line]
    assert [(line["outcome"], line["level"]) for line in said] == [("done", "INFO")]


def test_the_sweep_only_orders(alice: Client, sound: Recording, orders: list[Order]) -> None:
    tell(sound.key)
    for tries in (1, 2, 3):
        assert len(orders) == tries
        make_due(alice.user_id, sound.id)
        sweep()
    assert [order["task"] for order in orders] == ["read", "read", "read_header"]
    assert kept(alice.user_id, sound.id).playable is False  # three orders, and never an answer
    assert done(orders[0]) == {"changed": 1}
    assert kept(alice.user_id, sound.id).playable is False


FORGED: dict[str, Callable[[Order], Any]] = {
    "no seal": lambda order: {**order, "seal": ""},
    "another's key": lambda order: {**order, "seal": signing.dumps({"id": "x"}, key="k" * 50, salt=SALT)},
    "another use": lambda order: {**order, "seal": signing.dumps({"id": "x"}, salt="cursor")},
    "changed": lambda order: {**order, "seal": "A" + order["seal"][1:]},
    "no text": lambda order: {**order, "seal": {"user_id": "x"}},
    "no order": lambda order: None,
}


def test_what_is_not_sealed_writes_nothing(sound: Recording, orders: list[Order]) -> None:
    tell(sound.key)
    before = snapshot()
    for forge in FORGED.values():
        assert answered(forge(orders[0]), {"facts": TRUE}) == {"refused": 1}
    for body in ("", "{", "[]", "null", "[" * 9999, " " * (MOST_BODY + 1), json.dumps({"requestPayload": orders[0]})):
        assert delivered(body) == {"refused": 1}
    assert snapshot() == before


def test_an_old_seal_is_none(sound: Recording, orders: list[Order], monkeypatch: pytest.MonkeyPatch) -> None:
    tell(sound.key)
    monkeypatch.setattr("recordings.analysis.orders.SECONDS", -1)
    assert answered(orders[0], {"facts": TRUE}) == {"refused": 1}


def test_no_event_comes_through_the_queue_of_answers(alice: Client, orders: list[Order]) -> None:
    """Who may put answers in, may not say that objects have come to be, or that it is time to sweep."""
    created = alice.create(SOUND).json["recording"]
    key = kept(alice.user_id, created["id"]).key
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}
    for event in ({"Records": [record]}, {"source": "aws.events"}):
        with calls() as sent:
            assert delivered(json.dumps(event)) == {"refused": 1}
        assert sent == []
    assert delivered(json.dumps({"Records": [record]}), queue="arn:another") == {"upload_incomplete": 1}


def test_lies_write_nothing_but_the_next_try(alice: Client, sound: Recording, orders: list[Order]) -> None:
    tell(sound.key)
    before = snapshot()
    for lie in [*LIES, TRUE]:
        said = {"facts": lie} if lie is not TRUE else TRUE
        assert answered(orders[0], said) == {"undecodable": 1}
    for said in (None, "facts", 7, [], {"fault": "timeout"}, {"seconds": 1.0}):
        assert answered(orders[0], said) == {"undecodable": 1}
    assert snapshot() == before
    make_due(alice.user_id, sound.id)
    sweep()
    assert len(orders) == 2


def test_an_answer_counts_once_and_for_its_own_try(alice: Client, sound: Recording, orders: list[Order]) -> None:
    tell(sound.key)
    make_due(alice.user_id, sound.id)
    sweep()
    first, second = orders
    assert answered(first, {"facts": TRUE}) == {"changed": 1}
    assert answered(second, {"facts": TRUE}) == {"ready": 1}
    assert answered(second, {"facts": TRUE | {"duration": 9.0}}) == {"changed": 1}
    assert kept(alice.user_id, sound.id).duration == 3.5


def test_an_answer_for_bytes_that_are_gone(alice: Client, sound: Recording, orders: list[Order]) -> None:
    tell(sound.key)
    alice.delete(f"recordings/{sound.id}/?permanent=true")
    assert answered(orders[0], {"facts": TRUE}) == {"changed": 1}
    with pytest.raises(StoreError) as failed:
        decode_function.handler(orders[0])
    assert str(failed.value) == "404"


def test_an_account_that_is_closed_meanwhile(alice: Client, sound: Recording, orders: list[Order]) -> None:
    tell(sound.key)
    assert alice.delete("accounts/me/").status == 202
    assert set(answered(orders[0], {"facts": TRUE})) <= {"changed", "account_closed"}


def test_what_waited_too_long_for_the_function_is_not_counted(
    alice: Client, sound: Recording, orders: list[Order]
) -> None:
    tell(sound.key)
    assert answered(orders[0], None, "EventAgeExceeded") == {"postponed": 1}
    row = kept(alice.user_id, sound.id)
    assert not row.tries
    assert row.due_at
    make_due(alice.user_id, sound.id)
    sweep()
    assert [order["task"] for order in orders] == ["read", "read"]
    assert done(orders[1]) == {"ready": 1}


def test_a_function_that_fails_is_a_try(sound: Recording, orders: list[Order]) -> None:
    tell(sound.key)
    failed = {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"}
    assert answered(orders[0], failed, "RetriesExhausted") == {"undecodable": 1}


def test_an_order_that_lambda_does_not_take_is_not_counted(
    alice: Client, sound: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(Problem) as refused:
        analyse.hear(sound)  # moto knows no function of this name
    assert refused.value.status_code == 503
    assert not kept(alice.user_id, sound.id).tries


# Parts


@pytest.fixture
def part(alice: Client, sound: Recording) -> dict[str, Any]:
    share: dict[str, Any] = make(alice, sound.id, start=0.5, end=1.5)
    assert tell(sound.order_key(share["id"])) == {"preparing": 1}
    return share


def status(share: dict[str, Any]) -> str:
    found = Share.of(share["id"])
    assert found is not None
    return str(found.status)


def again(share: dict[str, Any], row: Recording) -> None:
    """The sweep's turn at it."""
    Excerpt(f"excerpt:{share['id']}", row.user_id).update([Excerpt.due_at.set(LONG_AGO)])
    sweep()


def test_a_part_is_cut_and_stored_by_the_form(
    alice: Client, sound: Recording, part: dict[str, Any], orders: list[Order]
) -> None:
    (order,) = orders
    assert order.keys() == {"task", "start", "end", "url", "form", "seal"}
    assert done(order) == {"ready": 1}
    assert status(part) == "ready"
    stored = objects()[sound.excerpt_key(part["id"])]
    assert stored.find(b"moov") > 0
    assert set(objects()) == {sound.key, sound.excerpt_key(part["id"])}
    check_books(alice.user_id)


def test_the_form_takes_one_file_of_so_many_bytes(
    sound: Recording, part: dict[str, Any], orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = decode_policy(orders[0]["form"])
    assert {"key": sound.excerpt_key(part["id"])} in policy["conditions"]
    assert ["content-length-range", 1, 2**20 + 64_000] in policy["conditions"]


def decode_policy(form: Mapping[str, Any]) -> dict[str, Any]:
    import base64

    found: dict[str, Any] = json.loads(base64.b64decode(form["fields"]["policy"]))
    return found


def test_a_part_that_is_said_to_be_stored_has_to_be(part: dict[str, Any], orders: list[Order]) -> None:
    assert answered(orders[0], {"seconds": 1.0}) == {"failed": 1}


def test_there_is_no_such_part(part: dict[str, Any], orders: list[Order]) -> None:
    assert answered(orders[0], {"seconds": 0}) == {"failed": 1}
    assert status(part) == "failed"


def test_lies_about_a_part_are_a_try(sound: Recording, part: dict[str, Any], orders: list[Order]) -> None:
    for said in (None, {"seconds": "1"}, {"seconds": -1}, {"seconds": True}, {"fault": "error"}, {"facts": TRUE}):
        assert answered(orders[0], said) == {"preparing": 1}
    again(part, sound)
    assert len(orders) == 2
    assert done(orders[0]) == {"changed": 1}
    assert done(orders[1]) == {"ready": 1}


def test_two_orders_without_an_answer_are_a_failure(
    sound: Recording, part: dict[str, Any], orders: list[Order]
) -> None:
    again(part, sound)
    assert sweep() == {}  # the second one has its time
    again(part, sound)
    assert (len(orders), status(part)) == (2, "failed")


def test_a_part_that_waited_too_long_is_not_counted(
    sound: Recording, part: dict[str, Any], orders: list[Order]
) -> None:
    assert answered(orders[0], None, "EventAgeExceeded") == {"postponed": 1}
    for _ in range(2):
        again(part, sound)
    assert done(orders[2]) == {"ready": 1}


def test_a_part_that_nobody_shares_any_more(
    alice: Client, sound: Recording, part: dict[str, Any], orders: list[Order]
) -> None:
    revoke(alice, sound.id, part["id"])
    assert done(orders[0]) == {"changed": 1}
    key = sound.excerpt_key(part["id"])
    assert tell(key) == {"orphan": 1}
    assert set(objects()) == {sound.key}
