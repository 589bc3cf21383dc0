"""POST recordings/: a row and a reservation first, then a URL for the bytes."""

from urllib.parse import parse_qs, urlsplit

import pytest
from pytest_django import Settings

from aws import s3
from lib.clock import days_from_now
from recordings.models import MULTIPART, Recording
from tests.client import Client, declare, send, sha256
from tests.state import (
    LONG_AGO,
    changes,
    check_books,
    failing,
    kept,
    ledger,
    make_due,
    meanwhile,
    objects,
    remains,
    snapshot,
)

AUDIO = b"RIFF, more or less" * 10


def test_keeps_what_was_declared(alice: Client) -> None:
    moment = "2026-03-01T09:30:00+09:00"
    answer = alice.create(AUDIO, name="강의 🎧", recorded_at=moment, tags=["b", "a", "b"], notes="one\ntwo ")
    assert answer.status == 201
    recording = answer.json["recording"]
    stored = kept(alice.user_id, recording["id"])
    assert recording == {
        "id": stored.id,
        "name": "강의 🎧",
        "status": "uploading",
        "size": len(AUDIO),
        "sha256": sha256(AUDIO),
        "content_type": "audio/wav",
        "recorded_at": "2026-03-01T00:30:00.000Z",
        "created_at": stored.created_at,
        "updated_at": stored.created_at,
        "trashed_at": None,
        "verified_at": None,
        "playable": None,
        "duration": None,
        "codec": None,
        "sample_rate": None,
        "channels": None,
        "bit_rate": None,
        "tags": ["b", "a"],
        "notes": "one\ntwo ",
        "favorite": False,
        "version": 1,
    }
    assert recording == {name: getattr(stored, name) for name in recording}
    assert stored.shelf == f"{alice.user_id}#uploading"
    assert stored.due_at is not None
    assert days_from_now(6.9) < stored.due_at < days_from_now(7.1)
    assert changes(alice.user_id) == {stored.id: (1, False)}
    assert ledger(alice.user_id).used_bytes == len(AUDIO)
    check_books(alice.user_id)


def test_recorded_at_defaults_to_now(alice: Client) -> None:
    recording = alice.create(AUDIO).json["recording"]
    assert recording["recorded_at"] == recording["created_at"]


def test_says_where_the_bytes_go(alice: Client) -> None:
    answer = alice.create(AUDIO).json
    upload, stored = answer["upload"], kept(alice.user_id, answer["recording"]["id"])
    url = urlsplit(upload["url"])
    signed = parse_qs(url.query)["X-Amz-SignedHeaders"][0].split(";")
    assert set(upload) == {"kind", "method", "url", "headers", "expires_at"}
    assert (upload["kind"], upload["method"]) == ("single", "PUT")
    assert url.path == f"/recordings/{alice.user_id}/{stored.id}/{stored.attempt}"
    assert url.netloc == "test-recordings-bucket.s3.ap-northeast-2.amazonaws.com"
    assert signed == ["content-length", "content-type", "host", "if-none-match", "x-amz-checksum-sha256"]
    assert sorted(name.lower() for name in upload["headers"]) == ["content-type", "if-none-match", signed[-1]]
    assert days_from_now(0.24) < upload["expires_at"] < days_from_now(0.26)


def test_ids_belong_to_account_and_content(alice: Client, charlie: Client) -> None:
    hers, his = alice.create(AUDIO).json["recording"], charlie.create(AUDIO).json["recording"]
    assert hers["id"] != his["id"]
    assert alice.create(AUDIO + b"!").json["recording"]["id"] not in (hers["id"], his["id"])


def test_again_while_uploading_changes_nothing(alice: Client) -> None:
    first = alice.create(AUDIO, name="first")
    before = snapshot()
    again = alice.create(AUDIO, name="second")
    assert again.status == 200
    assert again.json["recording"] == first.json["recording"]
    assert urlsplit(again.json["upload"]["url"]).path == urlsplit(first.json["upload"]["url"]).path
    assert snapshot() == before


def test_again_late_gives_an_upload_new_time(alice: Client) -> None:
    id = alice.create(AUDIO).json["recording"]["id"]
    make_due(alice.user_id, id)
    assert kept(alice.user_id, id).due_at == LONG_AGO
    assert alice.create(AUDIO).status == 200
    due_at = kept(alice.user_id, id).due_at
    assert due_at is not None
    assert due_at > days_from_now(6.9)
    check_books(alice.user_id)


@pytest.mark.parametrize("size", [len(AUDIO) - 1, len(AUDIO) + 1])
def test_again_with_another_size_is_a_new_attempt(alice: Client, size: int) -> None:
    first = alice.create(AUDIO, size=size).json
    old = kept(alice.user_id, first["recording"]["id"])
    again = alice.create(AUDIO)
    new = kept(alice.user_id, old.id)
    assert again.status == 200
    assert again.json["recording"]["size"] == new.size == ledger(alice.user_id).used_bytes == len(AUDIO)
    assert new.attempt != old.attempt
    assert new.discarded == [old.attempt]
    assert urlsplit(again.json["upload"]["url"]).path == f"/{new.key}"
    check_books(alice.user_id)


def test_again_when_ready_answers_it_without_an_upload(alice: Client) -> None:
    recording = alice.record(AUDIO)
    before = snapshot()
    again = alice.create(AUDIO, name="other")
    assert (again.status, again.json) == (200, {"recording": recording, "upload": None})
    assert snapshot() == before


def test_another_size_for_stored_content_is_a_conflict(alice: Client) -> None:
    alice.record(AUDIO)
    before = snapshot()
    answer = alice.create(AUDIO, size=len(AUDIO) + 1)
    assert (answer.status, answer.code) == (409, "size_conflict")
    assert snapshot() == before


def test_restores_from_the_trash(alice: Client) -> None:
    recording = alice.record(AUDIO)
    alice.delete(f"recordings/{recording['id']}/")
    answer = alice.create(AUDIO)
    stored = kept(alice.user_id, recording["id"])
    assert (answer.status, answer.json["upload"], answer.json["recording"]["trashed_at"]) == (200, None, None)
    assert stored.trashed_at is None
    assert stored.due_at is not None
    assert stored.due_at < days_from_now(1)  # to be heard, and not purged
    assert stored.shelf == f"{alice.user_id}#library"
    assert ledger(alice.user_id).used_bytes == len(AUDIO)
    check_books(alice.user_id)


def test_finishes_a_purge_then_creates(alice: Client) -> None:
    recording = alice.record(AUDIO)
    stored = kept(alice.user_id, recording["id"])
    stored.update([Recording.status.set("purging"), Recording.shelf.remove()])
    answer = alice.create(AUDIO)
    assert answer.status == 201
    assert kept(alice.user_id, recording["id"]).attempt != stored.attempt
    assert objects() == {}
    assert ledger(alice.user_id).used_bytes == len(AUDIO)
    assert send(answer.json["upload"], AUDIO).status_code == 200


def test_more_than_the_most_is_too_large(alice: Client, settings: Settings) -> None:
    settings.MAX_RECORDING_BYTES = len(AUDIO)
    assert alice.create(AUDIO).status == 201
    answer = alice.create(AUDIO + b"!")
    assert (answer.status, answer.code) == (413, "too_large")
    assert ledger(alice.user_id).used_bytes == len(AUDIO)
    check_books(alice.user_id)


def test_two_at_once_make_one_recording(alice: Client) -> None:
    with meanwhile("TransactWriteItems", lambda: alice.create(AUDIO, name="faster")):
        answer = alice.create(AUDIO, name="slower")
    assert answer.status == 200
    assert answer.json["recording"]["name"] == "faster"
    assert ledger(alice.user_id).used_bytes == len(AUDIO)
    check_books(alice.user_id)


def test_two_different_ones_at_once_are_both_kept(alice: Client) -> None:
    with meanwhile("TransactWriteItems", lambda: alice.create(AUDIO + b"!")):
        assert alice.create(AUDIO).json["recording"]["version"] == 2
    assert ledger(alice.user_id).used_bytes == 2 * len(AUDIO) + 1
    check_books(alice.user_id)


def test_a_closing_that_is_under_way_takes_nothing_more_in(alice: Client) -> None:
    def begin_closing() -> None:
        with failing("ListMultipartUploads"):
            alice.delete("accounts/me/")

    with meanwhile("TransactWriteItems", begin_closing):
        answer = alice.create(AUDIO)
    assert (answer.status, answer.code) == (401, "account_closed")
    assert ledger(alice.user_id).used_bytes == 0


def test_leaves_the_account_alone_once_it_is_closed(alice: Client) -> None:
    with meanwhile("TransactWriteItems", lambda: alice.delete("accounts/me/")):
        answer = alice.post("recordings/", declare(AUDIO))
    assert (answer.status, answer.code) == (401, "account_closed")
    assert "WWW-Authenticate" in answer.headers
    assert remains(alice.user_id) == []


def test_an_upload_that_is_begun_anew_by_two_is_what_the_last_one_said(alice: Client) -> None:
    """Its multipart upload has ended; somebody else, who is faster, declares it small enough for one PUT."""
    id = alice.create(AUDIO, size=MULTIPART).json["recording"]["id"]
    stored = kept(alice.user_id, id)
    s3.abort_multipart(stored.key, stored.upload_id)
    with meanwhile("CreateMultipartUpload", lambda: alice.create(AUDIO)):
        answer = alice.create(AUDIO, size=MULTIPART)
    assert (answer.json["recording"]["size"], answer.json["upload"]["kind"]) == (len(AUDIO), "single")
    assert snapshot()["uploads"] == []
    assert send(answer.json["upload"], AUDIO).status_code == 200
    assert alice.post(f"recordings/{id}/complete/").json["status"] == "ready"


@pytest.mark.parametrize(
    "kind",
    [
        "video/webm;codecs=vp8,opus",
        "video/mp4;codecs=avc1.42E01E,mp4a.40.2",
        "audio/webm;codecs=opus",
        "audio/ogg;  codecs='opus'",
        'audio/mp4 ; codecs="mp4a.40.2, mp4a.40.5"',
    ],
)
def test_types_as_browsers_record_them(alice: Client, kind: str) -> None:
    assert alice.create(b"one", content_type=kind).json["recording"]["content_type"] == kind
