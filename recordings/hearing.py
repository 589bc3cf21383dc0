"""Listening to a recording after its proof: who does it, how often it is tried, and what is written down.

A file may bring the decoder down, and its process with it. So a try is counted before the file is opened: the first is
the event's, the second the sweep's, an hour later; the third reads the container alone; after that the recording says
that it can't be played. It stays safe and downloadable through all of this.
"""

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from recorder_project.problems import Problem
from recordings import reader
from recordings.dynamo import days_from_now
from recordings.models import Ledger, Recording
from recordings.services import PROOF_DAYS, present, settle
from recordings.writes import change, claim

if TYPE_CHECKING:
    from recordings.audio import Facts

log = logging.getLogger(__name__)

SECONDS = 600.0  # for one try; Lambda ends a call after 900
FULL_TRIES, TRIES = 2, 3


def hear(row: Recording, *, seconds: float = SECONDS, again: bool = False) -> Recording:
    """Set duration, waveform and what else the sound says, once for each recording. Safe beside itself.

    The first try is for whoever comes first, the later ones for the sweep (`again`), which comes when they are due.
    """
    tries = row.tries or 0
    if not row.unheard or (tries and not again) or not claim(row, tries + 1, due_at=days_from_now(PROOF_DAYS)):
        return row
    try:
        facts = listen(row, tries, seconds)
    except TimeoutError:
        log.warning("Recording %s took too long to decode, try %d", row.id, tries + 1)
        return row
    except Problem:
        claim(row, tries, due_at=days_from_now(PROOF_DAYS))  # the store's fault and not the file's: not counted
        raise
    except Exception:
        log.exception("Recording %s could not be decoded, try %d", row.id, tries + 1)
        return row
    return keep(row, facts) if facts else row


def listen(row: Recording, tries: int, seconds: float) -> "Facts | None":
    """What the file says, read as far as earlier tries advise. None where there is no file any more."""
    # PyAV and numpy take half a second to load, and only who listens needs them.
    from recordings.audio import Facts, read, read_header

    if tries >= TRIES:
        log.error("Recording %s could not be read in %d tries", row.id, tries)
        return Facts()
    file = reader.open_object(row.stored_key)
    if file is None:
        return None
    return read(file, seconds=seconds) if tries < FULL_TRIES else read_header(file, seconds=seconds)


def keep(seen: Recording, facts: "Facts") -> Recording:
    """Write down what was heard, unless the recording has other bytes by now."""

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = present(row)
        if not row.unheard or row.stored_key != seen.stored_key:
            return row
        return change(row, ledger, {**asdict(facts), "tries": None, "due_at": row.due_at if row.trashed_at else None})

    return settle(seen.user_id, seen.id, decide)
