"""Listening to a recording after its proof: who does it, how often it is tried, and what is written down.

The file is decoded in a process of its own (decoding.py), which it may bring down; and who started that may come to an
end for reasons of its own. So a try is counted before the file is opened: the first is the event's, the second the
sweep's, an hour later; the third reads the container alone; after that the recording says that it can't be played. It
stays safe and downloadable through all of this.
"""

import logging
from dataclasses import asdict

from django.conf import settings

from aws import object_reader
from lib.clock import days_from_now
from lib.problems import Problem
from recordings.analysis import decoding, orders
from recordings.analysis.decoding import SECONDS, UndecodableError, cpu_seconds
from recordings.analysis.facts import Facts, loaded
from recordings.library import PROOF_DAYS, present, settle
from recordings.models import Ledger, Recording
from recordings.pacing import afford
from recordings.transactions import change, claim

log = logging.getLogger(__name__)

FULL_TRIES, TRIES = 2, 3


def hear(row: Recording, *, seconds: float = SECONDS, again: bool = False) -> Recording:
    """Set duration, waveform and what else the sound says, once for each recording. Safe beside itself.

    The first try is for whoever comes first, the later ones for the sweep (`again`), which comes when they are due.
    One that its account can't afford in this hour is left to the sweep of the next, and not counted.
    """
    tries = row.tries or 0
    if not row.unheard or (tries and not again):
        return row
    if tries < TRIES and (wait := afford("decoding", row.user_id, cpu_seconds(row.stored_size))):
        claim(row, tries, due_at=days_from_now(wait / 86400))
        log.info("Recording %s waits for the next hour: its account has had enough for this one", row.id)
        return row
    if not claim(row, tries + 1, due_at=days_from_now(PROOF_DAYS)):
        return row
    try:
        facts = listen(row, tries, seconds)
    except (TimeoutError, UndecodableError) as error:
        log.warning("Recording %s could not be decoded, try %d: %s", row.id, tries + 1, error)
        return row
    except Problem:
        claim(row, tries, due_at=days_from_now(PROOF_DAYS))  # the store's fault and not the file's: not counted
        raise
    except Exception:
        log.exception("Recording %s could not be decoded, try %d", row.id, tries + 1)
        return row
    return keep(row, facts) if facts else row


def listen(row: Recording, tries: int, seconds: float) -> Facts | None:
    """What the file says, read as far as earlier tries advise. None where there is no file any more, or where another
    function was told to read it: `take` has its answer then.
    """
    if tries >= TRIES:
        log.error("Recording %s could not be read in %d tries", row.id, tries)
        return Facts()
    header = tries >= FULL_TRIES
    if settings.DECODE_FUNCTION:
        orders.order_facts(row, tries + 1, header=header)
        return None
    file = object_reader.open_object(row.stored_key)
    if file is None:
        return None
    return decoding.listen(file, seconds=seconds, header=header)


def take(answer: orders.Answer) -> str:
    """Act on what the function says that was told to listen. Returns what became of the recording: `changed` where
    this order is over.
    """
    about = answer.about
    row = Recording.find(about["id"], about["user_id"])
    if row is None or not row.unheard or (row.stored_key, row.tries) != (about["key"], about["tries"]):
        return "changed"
    if answer.never_begun:
        claim(row, about["tries"] - 1, due_at=days_from_now(PROOF_DAYS))  # not the file's fault: not counted
        return "postponed"
    try:
        facts = loaded(answer.said.get("facts"))
    except ValueError as error:
        log.warning("Recording %s could not be decoded, try %d: %s", row.id, row.tries, error)
        return "undecodable"
    return keep(row, facts).status


def keep(seen: Recording, facts: Facts) -> Recording:
    """Write down what was heard, unless the recording has other bytes by now."""

    def decide(row: Recording | None, ledger: Ledger) -> Recording:
        row = present(row)
        if not row.unheard or row.stored_key != seen.stored_key:
            return row
        return change(row, ledger, {**asdict(facts), "tries": None, "due_at": row.due_at if row.trashed_at else None})

    return settle(seen.user_id, seen.id, decide)
