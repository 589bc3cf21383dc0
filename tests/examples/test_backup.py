"""examples backup: what is missing is uploaded, once, whatever goes wrong, and what is proven is called safe."""

from pathlib import Path

import httpx
import pytest

from examples.backup import backup
from examples.client import ApiError, Recorder
from operations.lambda_handler import handler
from tests.client import Client, sha256
from tests.examples.conftest import Wire, response
from tests.state import check_books, kept, objects

LARGE = bytes(range(256)) * (17 * 4096)  # 17 MiB: three parts


def states(recorder: Recorder, folder: Path) -> dict[str, str]:
    return {file.name: file.state for file in backup(recorder, folder)}


def tell(key: str) -> None:
    handler({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}]})


SAFE = "safe to delete from this phone"
UNPROVEN = "uploaded, not verified yet: keep it"


def test_uploads_what_is_missing_and_says_what_is_safe(
    alice: Client, recorder: Recorder, wire: Wire, tmp_path: Path
) -> None:
    (tmp_path / "2026").mkdir()
    (tmp_path / "강의.wav").write_bytes(b"a lecture")
    (tmp_path / "2026" / "again.wav").write_bytes(b"a lecture")
    (tmp_path / "2026" / "long.m4a").write_bytes(LARGE)
    for ignored in ("notes.txt", ".hidden.wav", "empty.wav"):
        (tmp_path / ignored).write_bytes(b"" if ignored == "empty.wav" else b"x")
    assert states(recorder, tmp_path) == {"강의.wav": SAFE, "2026/again.wav": SAFE, "2026/long.m4a": UNPROVEN}
    rows = {row["name"]: row for row in alice.get("recordings/").json["results"]}
    assert {name: (row["size"], row["content_type"]) for name, row in rows.items()} == {
        "강의.wav": (9, "audio/wav"),
        "2026/long.m4a": (len(LARGE), "audio/mp4"),
    }
    assert sorted(objects().values()) == sorted([b"a lecture", LARGE])
    assert len(wire.puts()) == 4
    tell(kept(alice.user_id, rows["2026/long.m4a"]["id"]).key)
    assert set(states(recorder, tmp_path).values()) == {SAFE}
    assert len(wire.puts()) == 4
    check_books(alice.user_id)


def test_sends_no_part_again_that_s3_has(recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    """Killed after the first part."""
    (tmp_path / "long.wav").write_bytes(LARGE)

    def die(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT" and len(wire.puts()) > 1:
            raise KeyboardInterrupt
        return None

    wire.hook = die
    with pytest.raises(KeyboardInterrupt):
        backup(recorder, tmp_path)
    arrived = wire.puts()[0]
    wire.sent.clear()
    wire.hook = lambda request: None
    assert states(recorder, tmp_path) == {"long.wav": UNPROVEN}
    assert len(wire.puts()) == 2
    assert arrived not in wire.puts()


def test_tries_again_what_passes(recorder: Recorder, wire: Wire, naps: list[float], tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"a")
    trouble: list[httpx.Response | Exception] = [
        response(429, {"Retry-After": "7"}, b""),
        response(503, {"Retry-After": "3"}, b"<html>"),
        httpx.ConnectError("down"),
        httpx.ReadTimeout("slow"),
    ]

    def stumble(request: httpx.Request) -> httpx.Response | None:
        if not trouble:
            return None
        fault = trouble.pop(0)
        if isinstance(fault, Exception):
            raise fault
        return fault

    wire.hook = stumble
    assert states(recorder, tmp_path) == {"a.wav": SAFE}
    assert naps[0] >= 7
    assert naps[1] >= 3
    assert len(naps) == 4


def test_an_answer_that_got_lost_is_no_second_upload(recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    """Every first answer of each kind is lost after it took effect."""
    (tmp_path / "a.wav").write_bytes(b"a")
    (tmp_path / "long.wav").write_bytes(LARGE)
    seen: set[str] = set()

    def lose(request: httpx.Request) -> httpx.Response | None:
        what = request.method + str(request.url)
        if what in seen:
            return None
        seen.add(what)
        wire.deliver(request)
        raise httpx.ReadError("lost")

    wire.hook = lose
    assert states(recorder, tmp_path) == {"a.wav": SAFE, "long.wav": UNPROVEN}
    assert sorted(objects().values()) == [LARGE, b"a"]


def test_gives_up_at_last_and_says_why(recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"a")
    wire.hook = lambda request: response(503, {}, b"") if request.method == "PUT" else None
    assert states(recorder, tmp_path)["a.wav"].startswith("not uploaded: S3 refused the bytes")
    wire.hook = lambda request: response(503, {}, b"")
    with pytest.raises(ApiError, match="503"):
        backup(recorder, tmp_path)


def test_a_url_that_ran_out_is_asked_for_again(recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"a")
    expired = [response(403, {}, b"<Error><Code>AccessDenied</Code></Error>")]
    wire.hook = lambda request: expired.pop() if request.method == "PUT" and expired else None
    assert states(recorder, tmp_path) == {"a.wav": SAFE}


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "ConditionalRequestConflict"), (409, "OperationAborted"), (400, "RequestTimeout"), (400, "ExpiredToken")],
)
def test_what_s3_takes_a_moment_later_is_sent_again(
    recorder: Recorder, wire: Wire, tmp_path: Path, status: int, code: str
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
    (tmp_path / "a.wav").write_bytes(b"a")
    (tmp_path / "long.wav").write_bytes(LARGE)
    seen: set[str] = set()

    def refuse(request: httpx.Request) -> httpx.Response | None:
        what = str(request.url).partition("X-Amz")[0]
        if request.method != "PUT" or what in seen:
            return None
        seen.add(what)
        return response(status, {}, f"<Error><Code>{code}</Code></Error>".encode())

    wire.hook = refuse
    assert states(recorder, tmp_path) == {"a.wav": SAFE, "long.wav": UNPROVEN}
    assert sorted(objects().values()) == [LARGE, b"a"]
    assert len(seen) == 4


def test_what_s3_never_takes_is_sent_once(recorder: Recorder, wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"a")
    refused = response(400, {}, b"<Error><Code>BadDigest</Code></Error>")
    wire.hook = lambda request: refused if request.method == "PUT" else None
    assert "BadDigest" in states(recorder, tmp_path)["a.wav"]
    assert len(wire.puts()) == 1


def test_one_file_that_does_not_fit_holds_up_no_other(
    alice: Client, recorder: Recorder, tmp_path: Path, settings: object
) -> None:
    (tmp_path / "big.wav").write_bytes(b"b" * 1000)
    (tmp_path / "small.wav").write_bytes(b"s")
    (tmp_path / "trashed.wav").write_bytes(b"t")
    alice.delete(f"recordings/{alice.record(b't')['id']}/")
    settings.GUEST_QUOTA_BYTES = 500  # type: ignore[attr-defined]
    found = states(recorder, tmp_path)
    assert found["small.wav"] == SAFE
    assert found["big.wav"].endswith("(quota_exceeded)")
    assert found["trashed.wav"] == "not uploaded: it is in the account's trash"
    assert alice.shelf("trash")


def test_asks_500_at_a_time(recorder: Recorder, wire: Wire) -> None:
    hashes = [sha256(b"%d" % number) for number in range(1001)]
    assert [each["sha256"] for each in recorder.check(hashes)] == hashes
    assert wire.calls("/check/") == 3
