"""The process that decodes: what it is given, what it may do, and what is made of whatever it says."""

import base64
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from operations.sweep import sweep
from recordings.analysis import audio, decoding, facts
from recordings.analysis.decoding import Line, UndecodableError
from recordings.analysis.facts import Facts
from recordings.analysis.segments import pack
from recordings.models import Recording
from tests.client import Client
from tests.recordings.listener import Held
from tests.recordings.test_events import tell
from tests.recordings.test_sharing import make
from tests.sound import encode, tone
from tests.state import check_books, kept, make_due, objects

SOUND = encode(tone(1, 8000), "wav, mu-law")
CLIPS = Path(__file__).parent.parent / "audio"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux closes the system to a process")


def child(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Let the process run something else: what a file could have made of it."""
    beginning = "import sys; sys.path[:] = sys.argv[1:]; import json, os, resource, time\n"
    answer = "def answer(said):\n    body = b'A' + json.dumps(said).encode()\n"
    answer += "    os.write(1, len(body).to_bytes(4, 'big') + body)\n"
    monkeypatch.setattr(decoding, "START", beginning + answer + program)


def asked(**more: Any) -> Any:
    order: Any = {"task": "read", "seconds": 60.0, "cpu": 60, **more}
    return decoding.ask(Held(SOUND), order)


@pytest.mark.parametrize("name", ["speech.m4a", "speech.webm"])
def test_a_process_finds_what_its_parent_would(real_decoder: None, name: str) -> None:
    content = (CLIPS / name).read_bytes()
    assert decoding.listen(Held(content)) == audio.read(io.BytesIO(content), seconds=60)


def test_a_part_comes_back_in_the_file_that_was_opened_for_it(real_decoder: None) -> None:
    with tempfile.TemporaryFile() as output:
        assert decoding.cut(Held((CLIPS / "speech.mp3").read_bytes()), output, 1, 2.5) == 1.5
        output.seek(0)
        assert audio.read(output, seconds=60).duration == 1.5


def test_an_event_and_an_order_have_it_done_by_a_process(alice: Client, real_decoder: None) -> None:
    row = kept(alice.user_id, alice.upload(SOUND).json["id"])
    assert tell(row.key) == {"ready": 1}
    assert kept(alice.user_id, row.id).duration == 1.0
    made = make(alice, row.id, start=0.25, end=0.75)
    assert tell(row.order_key(made["id"])) == {"ready": 1}
    assert audio.read(io.BytesIO(objects()[row.excerpt_key(made["id"])]), seconds=60).duration == 0.5


def test_the_parent_loads_nothing_that_decodes(real_decoder: None) -> None:
    import subprocess

    program = "import tests.environment, operations.lambda_handler, sys; print({'av', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_it_inherits_nothing(real_decoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryFile() as secret:
        os.set_inheritable(secret.fileno(), True)
        child(
            monkeypatch,
            "def there(n):\n    try:\n        return bool(os.fstat(n))\n    except OSError:\n        return False\n"
            "answer({'environ': dict(os.environ), 'open': [n for n in range(256) if there(n)], 'path': os.getcwd()})",
        )
        said = asked()
    assert said.pop("environ").keys() - {"LC_CTYPE", "LD_LIBRARY_PATH"} == {
        *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX")
    }
    assert said == {"open": [0, 1, 2], "path": "/"}


FORBIDDEN = {
    "open": "open('/etc/passwd')",
    "write": "open('/tmp/left-behind', 'w')",
    "the parent's secrets": "open(f'/proc/{parent}/environ')",
    "the parent's memory": "open(f'/proc/{parent}/mem', 'rb')",
    "connect": "socket.socket()",
    "fork": "os.fork()",
    "run": "os.execv('/bin/sh', ['sh'])",
    "kill": "os.kill(parent, 0)",
    "look around": "os.listdir('/')",
    "more memory": "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
}


@LINUX
def test_it_can_do_nothing_but_talk_to_its_parent(real_decoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes it over finds a system that is closed: each of these goes through before, and none after."""
    tries = (
        "import socket\nfrom recordings.analysis import sandbox\nparent = os.getppid()\ndone = {}\n"
        "def attempt(code):\n"
        "    try:\n        eval(code)\n    except OSError as error:\n        return error.errno\n"
        "    except ValueError:  # what setrlimit makes of it\n        return 1\n    return 0\n"
        f"wanted = {FORBIDDEN!r}\nharmless = {{'open', 'the parent\\'s secrets', 'connect', 'kill', 'look around'}}\n"
        "before = {name: attempt(wanted[name]) for name in harmless}\n"
        "sandbox.confine(memory=2**28, cpu=60, written=0)\n"
        "answer({'before': before, 'after': {name: attempt(code) for name, code in wanted.items()}})"
    )
    child(monkeypatch, tries)
    said = asked()
    assert set(said["before"].values()) == {0}
    assert said["after"] == dict.fromkeys(FORBIDDEN, 1)  # EPERM


@LINUX
def test_it_has_so_much_memory_and_no_more(real_decoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    child(
        monkeypatch,
        "from recordings.analysis import sandbox\nsandbox.confine(memory=2**26, cpu=60, written=0)\n"
        "few = len(bytearray(2**25))\ntry:\n    bytearray(2**27)\nexcept MemoryError:\n    answer({'few': few})",
    )
    assert asked() == {"few": 2**25}


@pytest.mark.check
def test_its_processor_time_ends(real_decoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    child(
        monkeypatch,
        "from recordings.analysis import sandbox\nsandbox.confine(memory=2**28, cpu=1, written=0)\nwhile True: pass",
    )
    with pytest.raises(TimeoutError, match="processor"):
        asked()


@pytest.mark.parametrize(
    "program",
    [
        "time.sleep(60)",  # says nothing
        "os.write(1, b'\\0'); time.sleep(60)",  # says one byte of four
        "while True: os.write(1, (13).to_bytes(4, 'big') + b'R' + bytes(9) + b'\\4\\0\\0')",  # asks, and never reads
    ],
)
def test_its_time_ends_whatever_it_does(real_decoder: None, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(decoding, "GRACE", 0.0)
    child(monkeypatch, program)
    begun = time.monotonic()
    with pytest.raises((TimeoutError, UndecodableError)):
        asked(seconds=0.5)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("program", ["os._exit(0)", "os.kill(os.getpid(), 11)", "os.close(1); time.sleep(60)"])
def test_where_it_dies_it_has_found_nothing(real_decoder: None, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    child(monkeypatch, program)
    with pytest.raises(UndecodableError):
        asked()


# What it says is a stranger's word

WAVEFORM = base64.b64encode(bytes(800)).decode()
TRUE = {
    "playable": True,
    "duration": 3.5,
    "codec": "aac",
    "sample_rate": 44100,
    "channels": 1,
    "bit_rate": 64000,
    "waveform": WAVEFORM,
    "segments": base64.b64encode(pack([(0.5, 1.5), (2.0, 3.5)])).decode(),
}
NOTHING = dict.fromkeys(TRUE) | {"playable": False}
ODD: list[Any] = [float("nan"), float("inf"), 1e10, -1, "3", True, None, [], 1.0]
LIES: list[Any] = [
    *(None, [], {}, "facts", 7, {"playable": True}, TRUE | {"status": "ready"}, NOTHING | {"duration": 1.0}),
    *({**TRUE, "playable": value} for value in (None, 1, "true", False)),
    *({**TRUE, "duration": value} for value in ODD),
    *({**TRUE, "codec": value} for value in (None, "", "AAC", "x" * 33, "a b", "<b>", 7, "aac\n")),
    *({**TRUE, "sample_rate": value} for value in (0, -1, 10**6, 44100.5, "44100", True)),
    *({**TRUE, "channels": value} for value in (0, 65, "1")),
    *({**TRUE, "bit_rate": value} for value in (0, 10**11, 1.5)),
    *(
        {**TRUE, "waveform": value}
        for value in (None, "", "?" * 1068, WAVEFORM[:-4], WAVEFORM * 2, 800, WAVEFORM * 99)
    ),
    *({**TRUE, "segments": base64.b64encode(value).decode()} for value in (b"\x80", b"\1", b"\1\x80", b"\x7f" * 9999)),
    {**TRUE, "segments": base64.b64encode(b"\xff" * 400 + b"\1\1").decode()},
    {
        **TRUE,
        "segments": base64.b64encode(pack([(at / 50, at / 50 + 0.01) for at in range(2001)])).decode(),
        "duration": 99,
    },
]


def test_what_can_be_true_is_taken() -> None:
    found = facts.loaded(json.loads(json.dumps(TRUE)))
    assert facts.dumped(found) == TRUE
    assert facts.loaded(NOTHING) == facts.loaded(facts.dumped(Facts())) == Facts()
    header = {**TRUE, "waveform": None, "segments": None, "duration": None, "sample_rate": None, "channels": None}
    assert facts.loaded(header).playable


def test_what_can_not_be_true_is_not() -> None:
    for lie in LIES:
        with pytest.raises(ValueError):  # noqa: PT011 - this and binascii's
            facts.loaded(lie)


def framed(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def answered(said: Any) -> bytes:
    return framed(b"A" + json.dumps(said).encode())


def saying(content: bytes) -> Callable[[dict[str, Any]], Any]:
    """In the place of a process: one that says this, whatever it is told, and ends."""

    @contextmanager
    def started(order: dict[str, Any]) -> Iterator[Line]:
        (incoming, orders), (answers, outgoing) = os.pipe(), os.pipe()
        os.write(outgoing, content)
        os.close(outgoing)
        try:
            yield Line(answers, orders, 5)
        except EOFError as error:
            raise UndecodableError from error
        finally:
            for each in (incoming, orders, answers):
                os.close(each)

    return started


NONSENSE = [
    *(
        b"",
        b"\0",
        bytes(4),
        b"\xff" * 50,
        framed(b"X"),
        framed(b"A"),
        framed(b"A{"),
        framed(b"A[]"),
        framed(b"A\xff\xfe"),
    ),
    *(framed(b"A" + b"[" * 50_000), framed(b"A1"), framed(b"R"), framed(b"R" + bytes(50))),
    *(framed(b"R" + bytes(8) + b"\xff\xff\xff\xff"), framed(b"R" + bytes(8) + (2**18 + 1).to_bytes(4, "big"))),
    *((2**31).to_bytes(4, "big"), (2**17 + 1).to_bytes(4, "big") + b"A" * 99, answered({"fault": "error"})),
    *(answered({"fault": {"deep": 1}, "where": ["\n" * 999]}), answered({"facts": {}}), answered({"seconds": 1})),
    *(answered({"facts": lie}) for lie in LIES[:20]),
]


def test_nonsense_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in NONSENSE:
        monkeypatch.setattr(decoding, "started", saying(said))
        with pytest.raises(UndecodableError) as refused:
            decoding.listen(Held(SOUND))
        assert len(str(refused.value)) < 120
        assert str(refused.value).isprintable()


def test_a_part_is_as_long_as_a_part_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for length in (-1, 1e10, float("nan"), "2", None, True, [1]):
        monkeypatch.setattr(decoding, "started", saying(answered({"seconds": length})))
        with tempfile.TemporaryFile() as output, pytest.raises(UndecodableError):
            decoding.cut(Held(SOUND), output, 0, 1)


def test_it_may_not_read_for_ever(monkeypatch: pytest.MonkeyPatch, real_decoder: None) -> None:
    monkeypatch.setattr(decoding, "READ_MORE", 10 * 2**18)
    child(
        monkeypatch,
        "import io\nfrom recordings.analysis.decoder import PLACE, Pipe\npipe = Pipe(0, 1)\npipe.receive()\n"
        "while True:\n    pipe.send(b'R', PLACE.pack(2**40, 2**18))\n    pipe.receive()",
    )
    with pytest.raises(UndecodableError, match="more than there is"):
        asked()


def test_a_store_that_fails_is_the_stores_fault(real_decoder: None) -> None:
    class Away(Held):
        def read(self, size: int | None = -1, /) -> bytes:
            raise KeyError("the store is away")

    with pytest.raises(KeyError):
        decoding.listen(Away(SOUND))


def test_a_liar_changes_nothing_but_the_sound(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says: the recording stays as it is, and in the end it can't be played."""
    row: Recording = kept(alice.user_id, alice.record(SOUND)["id"])
    before = row.attribute_values
    monkeypatch.setattr(decoding, "started", saying(answered({"facts": {**TRUE, "status": "purging", "size": 0}})))
    assert tell(row.key) == {"ready": 1}
    for _ in range(2):
        make_due(alice.user_id, row.id)
        assert sweep() == {"postponed": 1}
    make_due(alice.user_id, row.id)
    assert sweep() == {"heard": 1}
    found = kept(alice.user_id, row.id)
    told = {"playable", "version", "updated_at", "due_at", "due_shard", "tries"}
    assert found.playable is False
    assert {name: value for name, value in found.attribute_values.items() if name not in told} == {
        name: value for name, value in before.items() if name not in told
    }
    check_books(alice.user_id)


def test_a_lie_about_sound_is_all_that_is_written(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    row: Recording = kept(alice.user_id, alice.record(SOUND)["id"])
    monkeypatch.setattr(decoding, "started", saying(answered({"facts": TRUE, "version": 7, "name": "Theirs"})))
    assert tell(row.key) == {"ready": 1}
    found = kept(alice.user_id, row.id)
    assert (found.duration, found.codec, found.name, found.version) == (3.5, "aac", row.name, row.version + 1)


def test_a_small_file_may_take_little_time() -> None:
    assert [decoding.cpu_seconds(size) for size in (0, 600, 2**20, 2**40)] == [30, 31, 50, 600]
    assert [decoding.cpu_seconds(0, seconds) for seconds in (100, 10**6)] == [50, 600]
