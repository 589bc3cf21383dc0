"""Markers: moments in a recording, set by PATCH and read by other programs."""

from typing import Any

import pytest

from recordings.markers import webvtt
from recordings.models import Marker
from tests.client import Client
from tests.state import kept

MARKERS: list[Marker] = [
    {"at": 75.5, "label": "Chapter <2> & more"},
    {"at": 0.0, "label": "시작"},
    {"at": 3661.0004, "label": "끝"},
]
SORTED: list[Marker] = [MARKERS[1], MARKERS[0], {"at": 3661.0, "label": "끝"}]


@pytest.fixture
def id(alice: Client) -> str:
    found: str = alice.record(b"more or less sound")["id"]
    return found


def test_they_are_kept_in_order(alice: Client, id: str) -> None:
    assert alice.get(f"recordings/{id}/").json["markers"] == []
    answer = alice.patch(f"recordings/{id}/", {"markers": MARKERS})
    assert (answer.status, answer.json["version"]) == (200, 3)
    again = alice.get(f"recordings/{id}/")
    assert again.json == answer.json | {"markers": SORTED}
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert kept(alice.user_id, id).markers == SORTED
    assert alice.patch(f"recordings/{id}/", {"markers": MARKERS}).json["version"] == 3
    alice.patch(f"recordings/{id}/", {"name": "Renamed"})
    assert alice.get(f"recordings/{id}/").json["markers"] == SORTED
    alice.patch(f"recordings/{id}/", {"markers": []})
    assert alice.get(f"recordings/{id}/").json["markers"] == []


def test_lists_leave_them_out(alice: Client, id: str) -> None:
    alice.patch(f"recordings/{id}/", {"markers": MARKERS})
    assert "markers" not in alice.get("recordings/").json["results"][0]


@pytest.mark.parametrize(
    ("markers", "pointer"),
    [
        ([{"at": -1, "label": "x"}], "/markers/0/at"),
        ([{"at": "soon", "label": "x"}], "/markers/0/at"),
        ([{"at": 10**9, "label": "x"}], "/markers/0/at"),
        ([{"at": 1, "label": "x" * 101}], "/markers/0/label"),
        ([{"at": 1, "label": "two\nlines"}], "/markers/0/label"),
        ([{"at": 1, "label": ""}], "/markers/0/label"),
        ([{"at": 1}], "/markers/0/label"),
        ([{"at": 1, "label": "x", "end": 2}], "/markers/0/end"),
        ([{"at": 1, "label": "x"}] * 201, "/markers"),
        ("x", "/markers"),
        (None, "/markers"),
    ],
)
def test_what_is_no_marker(alice: Client, id: str, markers: Any, pointer: str) -> None:
    answer = alice.patch(f"recordings/{id}/", {"markers": markers})
    assert (answer.status, answer.pointers) == (400, [pointer])
    assert kept(alice.user_id, id).version == 2


def test_200_of_the_longest(alice: Client, id: str) -> None:
    longest = [{"at": float(number), "label": "한" * 100} for number in range(200)]
    alice.patch(f"recordings/{id}/", {"markers": longest})
    assert alice.get(f"recordings/{id}/").json["markers"] == longest


def test_as_webvtt(alice: Client, id: str) -> None:
    alice.patch(f"recordings/{id}/", {"markers": MARKERS})
    answer = alice.get(f"recordings/{id}/markers/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/vtt; charset=utf-8")
    assert answer.content.decode() == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:01:15.500\n시작\n\n"
        "00:01:15.500 --> 01:01:01.000\nChapter &lt;2&gt; &amp; more\n\n"
        "01:01:01.000 --> 01:01:01.001\n끝\n"
    )
    assert webvtt(SORTED, 4000.0).endswith("01:01:01.000 --> 01:06:40.000\n끝\n")


def test_as_audacity_labels(alice: Client, id: str) -> None:
    alice.patch(f"recordings/{id}/", {"markers": MARKERS})
    answer = alice.get(f"recordings/{id}/markers/?as=audacity")
    assert answer.content.decode().splitlines() == [
        "0.000000\t0.000000\t시작",
        "75.500000\t75.500000\tChapter <2> & more",
        "3661.000000\t3661.000000\t끝",
    ]
    assert alice.get(f"recordings/{id}/markers/?as=csv").pointers == ["/as"]


def test_the_export_has_them(alice: Client, id: str) -> None:
    alice.patch(f"recordings/{id}/", {"markers": MARKERS})
    assert alice.get("accounts/me/export/").json["recordings"][0]["markers"] == SORTED
