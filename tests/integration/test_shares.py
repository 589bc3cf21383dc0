"""What a listener does with a link, on a strict S3: hears it from anywhere, looks before, and gets a part alone."""

import io

import av
import requests

from operations.lambda_handler import handler
from recordings.analysis.analyse import hear
from tests.client import HOST, Client, sign_up
from tests.recordings.test_sharing import make, token_of
from tests.sound import encode, tone
from tests.state import kept, objects

CONTENT = encode(tone(6, 8000), "wav, mu-law")
NOBODY = Client()


def test_range_and_head_work_through_the_redirect() -> None:
    alice = sign_up()
    id = alice.record(CONTENT, name="강의, “마지막”.wav")["id"]
    hear(kept(alice.user_id, id))
    made = make(alice, id)
    path = made["url"].removeprefix(f"https://{HOST}")
    for rest, disposition in (("audio", "inline"), ("download", "attachment")):
        url = NOBODY.get(f"{path}/{rest}").headers["Location"]
        whole = requests.get(url, timeout=60)
        assert (whole.status_code, whole.content, whole.headers["Content-Type"]) == (200, CONTENT, "audio/wav")
        assert whole.headers["Content-Disposition"].startswith(disposition)
        part = requests.get(url, headers={"Range": "bytes=100-199"}, timeout=60)
        assert (part.status_code, part.content) == (206, CONTENT[100:200])
        looked = requests.head(NOBODY.call("HEAD", f"{path}/{rest}").headers["Location"], timeout=60)
        assert (looked.status_code, looked.headers["Content-Length"]) == (200, str(len(CONTENT)))
        assert requests.put(url, data=b"x", timeout=60).status_code == 403
        assert requests.delete(url, timeout=60).status_code == 403


def test_a_part_is_ordered_cut_heard_and_revoked() -> None:
    alice = sign_up()
    id = alice.record(CONTENT)["id"]
    made, row = make(alice, id, start=1.5, end=4), kept(alice.user_id, id)
    order = row.order_key(made["id"])
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": order}}}
    assert objects()[order] == b""
    assert handler({"Records": [record]}) == {"ready": 1}
    answer = NOBODY.get(f"/s/{token_of(made)}/audio")
    heard = requests.get(answer.headers["Location"], timeout=60)
    assert (heard.status_code, heard.headers["Content-Type"]) == (200, "audio/mp4")
    with av.open(io.BytesIO(heard.content), "r") as container:
        assert abs((container.duration or 0) / 1e6 - 2.5) < 0.05
    assert alice.delete(f"recordings/{id}/shares/{made['id']}/").status == 204
    assert requests.get(answer.headers["Location"], timeout=60).status_code == 404
    assert [key for key in objects() if row.id in key] == [row.key]
