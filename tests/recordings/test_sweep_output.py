"""manage.py sweep for people and machines: --dry-run, --json, and how far it is."""

import io
import json
from typing import Any

from django.core.management import call_command

from recordings.models import Work
from tests.client import Client
from tests.state import LONG_AGO, make_due, snapshot


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def sweep(*options: str) -> list[dict[str, Any]]:
    output = io.StringIO()
    call_command("sweep", "--json", *options, stdout=output)
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_dry_run_says_what_is_due_and_does_nothing(alice: Client) -> None:
    upload, trashed = alice.create(b"one").json["recording"]["id"], alice.record(b"two")["id"]
    alice.create(b"not due")
    alice.delete(f"recordings/{trashed}/")
    for id in (upload, trashed):
        make_due(alice.user_id, id)
    Work.of("trash", alice.user_id, due_at=LONG_AGO).save()
    before = snapshot()
    found = {each["recording"]: each["outcome"] for each in sweep("--dry-run")}
    assert found == {
        upload: "would complete or abandon",
        trashed: "would purge",
        f"trash:{alice.user_id}": "would empty",
    }
    assert snapshot() == before


def test_json_says_what_became_of_each(alice: Client) -> None:
    id = alice.create(b"one").json["recording"]["id"]
    make_due(alice.user_id, id)
    assert sweep() == [{"outcome": "purged", "account": alice.user_id, "recording": id}]
    assert sweep() == []


def test_shows_how_far_it_is_on_a_terminal_only(alice: Client) -> None:
    for screen, shown in ((Terminal(), True), (io.StringIO(), False)):
        make_due(alice.user_id, alice.create(b"one").json["recording"]["id"])
        call_command("sweep", stdout=io.StringIO(), stderr=screen)
        assert ("1 purged" in screen.getvalue()) is shown
