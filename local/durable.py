"""ministack's DynamoDB, S3 and SQS, with a journal: each request is answered once what it changed is on disk.

ministack handles a request without a break, in one thread. What is written here happens in that same step, so no
other request sees what is not on disk yet, and the journal has everything in the order in which it was done. It holds
outcomes (rows, objects, messages), not requests: a condition or a clock plays no part when it is read again. Bytes of
objects and parts are files of their own, on disk before the journal names them.

Where the disk refuses, the request is answered with 503 and undone in memory, and reading goes on.
"""

import logging
from collections import defaultdict
from pathlib import Path

from ministack import app  # type: ignore[import-untyped]
from ministack.core import persistence  # type: ignore[import-untyped]
from ministack.services import dynamodb, s3, sqs  # type: ignore[import-untyped]

from local.files import MISSING, Files, Part
from local.journal import DamagedError, Journal, Key, Record, State
from local.objects import Objects, buckets_meta, name_of, plain, queues_meta
from local.rows import Rows, expired, row, rows_of, set_row, tables_meta
from local.stores import unpacked

log = logging.getLogger("durable")


def fill(state: State, rows: Rows, objects: Objects) -> None:
    """Bring what was read from disk into ministack's empty memory."""
    dynamodb.restore_state(unpacked(state, "dynamodb"))
    s3.restore_state(unpacked(state, "s3"))
    queues = fill_queues(state)
    there = {path.name for path in objects.files.objects.iterdir()}
    for table in dynamodb._tables._data.values():
        table["items"] = defaultdict(dict)
    for key, value in state.items():
        if key[0] == "row" and (table := dynamodb._tables._data.get(key[1:4])):
            set_row(table, key, value)
        elif key[0] == "object":
            fill_object(key, value, objects, there)
        elif key[0] == "upload":
            objects.uploads[key] = s3._multipart_uploads._data[key[1:]] = {**value, "parts": {}}
        elif key[0] == "part" and (upload := s3._multipart_uploads._data.get(key[1:3])):
            objects.parts[key] = upload["parts"][int(key[3])] = Part(value, objects.files.directory / value["file"])
        elif key[0] == "message" and (queue := queues.get(key[1:4])):
            objects.messages[key] = message = {**value, "visible_at": 0, "receipt_handle": None}
            queue["messages"].append(message)
    for table in dynamodb._tables._data.values():
        dynamodb._update_counts(table)
    rows.meta, objects.meta = tables_meta(), {"s3": buckets_meta(), "sqs": queues_meta()}


def fill_queues(state: State) -> dict[Key, Record]:
    """By account, region and name."""
    queues: dict[Key, Record] = {}
    for place, queue in getattr(unpacked(state, "sqs").get("queues"), "_data", {}).items():
        queue["url"] = sqs._queue_url_for_account(place[0], queue["name"])
        queues[name_of(place, queue)] = sqs._queues._data[(*place[:2], queue["url"])] = queue
    sqs._rebuild_queue_name_index()
    return queues


def fill_object(key: Key, value: dict[str, str], objects: Objects, there: set[str]) -> None:
    folder, _, name = value["file"].rpartition("/")
    if name not in there if folder == "objects" else not (objects.files.directory / value["file"]).exists():
        log.error("%s in %s %s: %s", key[3], key[2], MISSING, value["file"])
        return
    bucket = s3._buckets._data.setdefault(key[1:3], {"created": s3.now_iso(), "objects": {}, "region": None})
    objects.kept[key] = bucket["objects"][key[3]] = {**value, "body": None}


def install(directory: Path, *, inherited: bool) -> Journal:
    """Read the journal below `directory` into ministack, and have it keep everything from here on.

    `inherited`: there is no journal yet, and ministack has begun with what it had saved by itself; the journal begins
    with that. Raises DamagedError.
    """
    files, journal = Files(directory), Journal(directory / "journal", drop=expired)
    reader = journal.open(memory(directory) if inherited else None)
    rows, objects = Rows(journal), Objects(journal, files)
    for store in (dynamodb._tables, s3._buckets, sqs._queues):
        store._data.clear()
    fill(reader.state, rows, objects)
    in_use = {value["file"] for key, value in reader.state.items() if key[0] in ("object", "part")}
    for value in reader.outdated:
        if isinstance(value, dict) and isinstance(value.get("file"), str) and value["file"] not in in_use:
            files.remove(value["file"])
    dynamodb.handle_request, s3.handle_request, sqs.handle_request = rows.answer, objects.answer, objects.answer_queue
    s3._read_body = lambda bucket, key, record: files.body(record)
    s3._fire_s3_event_async = s3._fire_s3_event  # before the answer, so that an object and its message are one line
    app.PERSIST_STATE = persistence.PERSIST_STATE = s3.S3_PERSIST = False
    return journal


def memory(directory: Path) -> State:
    """What ministack has in memory, in the journal's form, with its objects where it keeps them: s3/account/bucket.

    Raises DamagedError where it could not read what it had saved, and has begun empty.
    """
    for service in ("dynamodb", "s3", "sqs"):
        path = directory / "state" / f"{service}.json"
        if path.exists() and persistence.load_state(service) is None:
            raise DamagedError(f"{path} can't be read")
    state: State = {
        ("meta", "dynamodb"): tables_meta(),
        ("meta", "s3"): buckets_meta(),
        ("meta", "sqs"): queues_meta(),
    }
    for key, table in dynamodb._tables._data.items():
        state |= {place: row(table, place) for place in rows_of(table, ("row", *key))}
    for (account, bucket), found in s3._buckets._data.items():
        for name, record in found["objects"].items():
            path = Path(s3._object_disk_path(bucket, name, account)).relative_to(directory.resolve())
            state["object", account, bucket, name] = {**plain(record), "file": str(path)}
    for key, queue in sqs._queues._data.items():
        state |= {("message", *name_of(key, queue), message["id"]): message for message in queue["messages"]}
    return state
