"""Closing where a role of its own alone may erase: requests and the sweep leave it to the closing function."""

from collections import Counter
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from accounts.models import Session
from operations import sweep as sweeping
from operations.lambda_handler import closing_handler, handler
from operations.sweep import sweep
from recordings.models import Work
from tests.client import Client
from tests.recordings.test_verifying import kinds
from tests.state import (
    LONG_AGO,
    calls,
    failing,
    let_urls_end,
    make_due,
    meanwhile,
    objects,
    remains,
    row,
    sessions,
    snapshot,
    traces,
    undoable,
    work,
)

AUDIO = b"RIFF, more or less"
SCHEDULE: dict[str, Any] = {"source": "aws.events"}
STEPS = ["ListMultipartUploads", "ListObjectVersions", "DeleteObjects", "BatchWriteItem"]
ERASING = {"DeleteObjects", "ListObjectVersions", "BatchWriteItem"}


@pytest.fixture(autouse=True)
def elsewhere(settings: Settings) -> None:
    settings.CLOSING_ROLE = "arn:aws:iam::123456789012:role/closing"


def test_a_request_closes_and_erases_nothing_which_the_closing_function_does(alice: Client) -> None:
    id = alice.record(AUDIO)["id"]
    before = snapshot()["versions"]
    with calls() as sent:
        assert alice.delete("accounts/me/").status == 202
    assert not ERASING & set(sent)
    assert alice.get("accounts/me/").status == 401
    assert sessions(alice.user_id) == []
    assert (list(objects().values()), snapshot()["versions"]) == ([AUDIO], before)
    assert dict(sweep()) == handler(SCHEDULE) == {}
    assert row(alice.user_id, id)
    assert kinds() == []
    assert closing_handler(SCHEDULE) == {"closed": 1}
    assert remains(alice.user_id) == []
    assert (objects(), snapshot()["versions"]) == ({}, [])
    assert closing_handler(SCHEDULE) == {}


def test_the_last_look_is_the_closing_functions_too(alice: Client) -> None:
    upload = alice.create(AUDIO).json
    assert alice.delete("accounts/me/").status == 202
    assert closing_handler(SCHEDULE) == {"closed": 1}
    let_urls_end(alice.user_id)
    assert dict(sweep()) == {}
    assert upload["recording"]["id"]
    assert work("account", alice.user_id)
    assert closing_handler(SCHEDULE) == {"forgotten": 1}
    assert traces(alice.user_id) == []


def test_each_does_its_own_kinds_and_no_row_of_the_others_keeps_it_busy(
    alice: Client, charlie: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "PAGE", 1)
    id = alice.record(AUDIO)["id"]
    assert alice.delete(f"recordings/{id}/").status == 204
    make_due(alice.user_id, id)
    with failing("Query"):
        alice.delete("recordings/?shelf=trash")
    assert charlie.delete("accounts/me/").status == 202
    with calls() as sent:
        assert closing_handler(SCHEDULE) == {"closed": 1}
    assert row(alice.user_id, id)
    assert remains(charlie.user_id) == []
    order = work("account", charlie.user_id)
    assert order is not None
    order.update([Work.due_at.set(LONG_AGO)])
    assert sweep()["unclear"] == 0
    assert row(alice.user_id, id) is None
    assert work("account", charlie.user_id)
    assert Counter(sent)["Query"] < 300


@pytest.mark.parametrize(
    "operation", ["ListMultipartUploads", "ListObjectVersions", "DeleteObjects", "BatchWriteItem"]
)
def test_a_closing_that_fails_is_tried_again(alice: Client, operation: str) -> None:
    alice.record(AUDIO)
    alice.create(b"never")
    assert alice.delete("accounts/me/").status == 202
    with failing(operation):
        assert closing_handler(SCHEDULE) == {"failed": 1}
    assert closing_handler(SCHEDULE) == {"closed": 1}
    assert remains(alice.user_id) == []


def test_two_runs_meet(alice: Client) -> None:
    alice.record(AUDIO)
    assert alice.delete("accounts/me/").status == 202
    with meanwhile("DeleteObjects", lambda: closing_handler(SCHEDULE)):
        assert set(closing_handler(SCHEDULE)) <= {"closed", "changed"}
    assert remains(alice.user_id) == []
    let_urls_end(alice.user_id)
    with meanwhile("TransactWriteItems", lambda: closing_handler(SCHEDULE)):
        assert closing_handler(SCHEDULE) == {"changed": 1}
    assert traces(alice.user_id) == []


def test_guests_who_are_gone_are_the_closing_functions(alice: Client) -> None:
    alice.record(AUDIO)
    for session in Session.all_of(alice.user_id):
        session.update([Session.last_seen_at.set(LONG_AGO)])
    order = work("account", alice.user_id)
    assert order is not None
    order.update([Work.due_at.set(LONG_AGO)])
    assert dict(sweep()) == {}
    assert closing_handler(SCHEDULE) == {"closed": 1}
    assert remains(alice.user_id) == []


def test_an_operators_commands_leave_it_to_the_closing_function(alice: Client) -> None:
    alice.record(AUDIO)
    call_command("account", alice.user_id, "--close", stdout=StringIO())
    out = StringIO()
    call_command("sweep", stdout=out, stderr=StringIO())
    call_command("sweep", "--dry-run", stdout=out, stderr=StringIO())
    assert out.getvalue() == "nothing due\nnothing due\n"
    assert list(objects().values()) == [AUDIO]
    assert closing_handler(SCHEDULE) == {"closed": 1}


def test_the_closing_function_takes_nothing_but_its_schedule(alice: Client) -> None:
    key = next(iter([*objects(), "recordings/x/y/z"]))
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}
    with pytest.raises(ValueError, match="schedule"):
        closing_handler({"Records": [record]})
    assert undoable(key) == []
    assert alice.get("accounts/me/").status == 200
