"""The keys of the objects that Recorder writes: whose they are, and of which recording."""

import re
from typing import NewType

# Texts that mypy lets nobody take for each other, or any other text for one of them.
UserId = NewType("UserId", str)
RecordingId = NewType("RecordingId", str)

PLACE = r"recordings/(?P<user_id>[0-9a-f]{32})/(?P<id>[0-9a-f]{32})"
KEY = re.compile(PLACE + r"/(?P<attempt>[0-9a-f]{32})", re.ASCII)
EXCERPT = re.compile(PLACE + r"/(?P<share_id>[0-9a-f]{64})\.(?P<kind>m4a|order)", re.ASCII)


def place_of(key: str) -> re.Match[str] | None:
    """The parts of a key that Recorder writes; its `re` is KEY or EXCERPT. None for any other."""
    return KEY.fullmatch(key) or EXCERPT.fullmatch(key)


def owner_of(place: re.Match[str]) -> tuple[UserId, RecordingId]:
    return UserId(place["user_id"]), RecordingId(place["id"])
