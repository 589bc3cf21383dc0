"""S3 of ministack, and the queue that its events go to, with a journal: see durable.py."""

import logging
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, get_account_id  # type: ignore[import-untyped]
from ministack.services import s3, sqs  # type: ignore[import-untyped]

from local.files import Files, Part
from local.journal import Journal, Key, Record
from local.stores import FULL, Answer, Handle, packed

log = logging.getLogger("objects")

UNKEPT = {"tagging", "acl", "retention", "legal-hold"}  # of objects


class Objects:
    """S3, with the messages that it leaves in SQS. What is on disk is in `kept`, `uploads`, `parts` and `messages`."""

    def __init__(self, journal: Journal, files: Files) -> None:
        self.journal, self.files = journal, files
        self.handle: Handle = s3.handle_request
        self.handle_queue: Handle = sqs.handle_request
        self.kept: dict[Key, Record] = {}
        self.uploads: dict[Key, Record] = {}
        self.parts: dict[Key, Part] = {}
        self.messages: dict[Key, Record] = {}
        self.meta = {"s3": "", "sqs": ""}

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: Any, signed_path: str | None = None
    ) -> Answer:
        if method in ("GET", "HEAD"):
            return await self.handle(method, path, headers, body, query, signed_path)
        bucket, key = s3._parse_bucket_key(path, headers)
        if key and UNKEPT & query.keys():
            return refused("NotImplemented", "The embedded AWS does not keep this", 501)
        upload = ("upload", get_account_id(), query.get("uploadId", [""])[0])
        try:
            answer = await self.handle(method, path, headers, body, query, signed_path)
            self._keep(bucket, self._touched(method, bucket, key), upload)
        except OSError as error:
            self._undo(bucket, upload)
            log.error(FULL, error)  # noqa: TRY400
            return refused("ServiceUnavailable", FULL % error, 503)
        return answer

    async def answer_queue(self, method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Answer:
        answer = await self.handle_queue(method, path, headers, body, query)
        try:
            self.journal.write(changes := self._meta("sqs") | self._new_messages())
            self._kept(changes)
        except OSError as error:
            self._undo_messages()
            log.error(FULL, error)  # noqa: TRY400
            return sqs._json_err_resp("ServiceUnavailable", FULL % error, 503)  # type: ignore[no-any-return]
        return answer

    def _touched(self, method: str, bucket: str, key: str) -> set[str]:
        """The keys of objects that a request may have changed: one that names no key, and posts, any of the bucket."""
        if key or method != "POST":
            return {key} - {""}
        place = ("object", get_account_id(), bucket)
        return {each[3] for each in self.kept if each[:3] == place} | {*objects_of(bucket)}

    def _keep(self, bucket: str, keys: set[str], upload: Key) -> None:
        """Write what a request changed, in one line, its bytes before."""
        changes: dict[Key, Any] = {} if keys else self._meta("s3")
        bodies: dict[Key, Any] = {}
        objects = objects_of(bucket)
        now = {("object", get_account_id(), bucket, key): objects.get(key) for key in keys} | self._parts(upload)
        try:
            for place, new in now.items():
                old = self.kept.get(place, self.parts.get(place))
                if new is None and old is not None:
                    changes[place] = None
                elif new is not None and new is not old:
                    bodies[place] = new
                    changes[place] = {**plain(new), "file": self.files.write(new["body"])}
            changes |= self._new_uploads() | self._new_messages()
            self.journal.write(changes)
        except OSError:
            for place in bodies.keys() & changes.keys():
                self.files.remove(changes[place]["file"])
            raise
        for place, record in bodies.items():
            record["file"] = changes[place]["file"]
        self._kept(changes)

    def _parts(self, upload: Key) -> dict[Key, Any]:
        parts = (s3._multipart_uploads.get(upload[2]) or {}).get("parts", {})
        return {("part", *upload[1:], str(number)): part for number, part in parts.items()}

    def _meta(self, service: str) -> dict[Key, Any]:
        meta = buckets_meta() if service == "s3" else queues_meta()
        return {} if meta == self.meta[service] else {("meta", service): meta}

    def _new_uploads(self) -> dict[Key, Any]:
        now = {("upload", *key): upload for key, upload in s3._multipart_uploads._data.items()}
        changes: dict[Key, Any] = {key: plain(upload) for key, upload in now.items() if key not in self.uploads}
        over = {key[1:] for key in self.uploads if key not in now}
        changes |= {("upload", *key): None for key in over}
        return changes | {key: None for key in self.parts if key[1:3] in over}

    def _new_messages(self) -> dict[Key, Any]:
        now = {
            ("message", *name_of(place, queue), message["id"]): message
            for place, queue in sqs._queues._data.items()
            for message in queue["messages"]
        }
        changes: dict[Key, Any] = {key: message for key, message in now.items() if key not in self.messages}
        return changes | {key: None for key in self.messages if key not in now}

    def _kept(self, changes: dict[Key, Any]) -> None:
        """Take note of what is on disk now."""
        for key, value in changes.items():
            if key[0] == "meta":
                self.meta[key[1]] = value
            elif key[0] == "message":
                note(self.messages, key, value)
            elif key[0] == "upload":
                note(self.uploads, key, value and s3._multipart_uploads._data[key[1:]])
            else:
                self._note_file(key, value)

    def _note_file(self, key: Key, value: Any) -> None:
        store: dict[Key, Any] = self.kept if key[0] == "object" else self.parts
        old = store.get(key)
        if key[0] == "object":
            record = value and s3._buckets._data[key[1:3]]["objects"][key[3]]
            if record:
                record["body"] = None
        else:
            record = value and Part(value, self.files.directory / value["file"])
            if record:
                s3._multipart_uploads._data[key[1:3]]["parts"][int(key[3])] = record
        note(store, key, record)
        if old is not None:
            self.files.remove(old["file"])

    def _undo(self, bucket: str, upload: Key) -> None:
        """Have memory be what is on disk again, as far as a request may have changed it."""
        place = ("object", get_account_id(), bucket)
        if place[1:] in s3._buckets._data:
            kept = {key[3]: record for key, record in self.kept.items() if key[:3] == place}
            s3._buckets._data[place[1:]]["objects"] = kept
        s3._multipart_uploads._data = {key[1:]: each for key, each in self.uploads.items()}
        s3._completed_multipart_uploads.pop(upload[2], None)
        if upload in self.uploads:
            parts = {int(key[3]): part for key, part in self.parts.items() if key[1:3] == upload[1:]}
            self.uploads[upload]["parts"] = parts
        self._undo_messages()

    def _undo_messages(self) -> None:
        for place, queue in sqs._queues._data.items():
            name = name_of(place, queue)
            queue["messages"] = [message for key, message in self.messages.items() if key[1:4] == name]


def refused(code: str, message: str, status: int) -> Answer:
    answer: Answer = s3._error(code, message, status)
    return answer


def objects_of(bucket: str) -> Record:
    """By key, as memory has them."""
    found: Record = (s3._buckets.get(bucket) or {}).get("objects", {})
    return found


def note(store: dict[Key, Any], key: Key, value: Any) -> None:
    if value is None:
        store.pop(key, None)
    else:
        store[key] = value


def plain(record: Record) -> Record:
    """Of an object, a part or an upload, what the journal's line says."""
    return {name: value for name, value in record.items() if name not in ("body", "parts")} | (
        {"parts": record["parts"]} if isinstance(record.get("parts"), list) else {}
    )


def name_of(place: Key, queue: Record) -> Key:
    """Account, region and name: a queue's address has the port in it, which may be another next time."""
    return (*place[:2], queue["name"])


def buckets_meta() -> str:
    return packed(**s3.get_state())


def queues_meta() -> str:
    queues = AccountRegionScopedDict()
    queues._data = {key: {**queue, "messages": []} for key, queue in sqs._queues._data.items()}
    return packed(queues=queues)
