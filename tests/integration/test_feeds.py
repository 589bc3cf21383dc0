"""What a podcast app does with a feed, on a strict S3: reads it, follows its enclosures, asks for parts of them."""

import feedparser
import requests

from recordings.models import Recording
from tests.accounts.test_feeds import make
from tests.client import HOST, Client, sign_up
from tests.state import kept

CONTENT = bytes(range(256)) * 40
NOBODY = Client()


def test_range_works_through_the_redirect() -> None:
    alice = sign_up()
    id = alice.record(CONTENT, name="강의, “마지막”.m4a", content_type="audio/mp4")["id"]
    kept(alice.user_id, id).update([Recording.playable.set(True)])
    alice.patch(f"recordings/{id}/", {"markers": [{"at": 1, "label": "Begin"}]})
    feed = make(alice)
    answer = NOBODY.get(feed["url"].removeprefix(f"https://{HOST}"))
    (entry,) = feedparser.parse(answer.content).entries
    (enclosure,) = entry.enclosures
    assert (enclosure.length, enclosure.type) == (str(len(CONTENT)), "audio/x-m4a")
    path = enclosure.href.removeprefix(f"https://{HOST}")
    looked = requests.head(NOBODY.call("HEAD", path).headers["Location"], timeout=60)
    assert (looked.status_code, looked.headers["Content-Length"]) == (200, str(len(CONTENT)))
    redirect = NOBODY.get(path, range="bytes=0-1")
    assert redirect.status == 302
    url = redirect.headers["Location"]
    whole = requests.get(url, timeout=60)
    assert (whole.status_code, whole.content, whole.headers["Content-Type"]) == (200, CONTENT, "audio/x-m4a")
    part = requests.get(url, headers={"Range": "bytes=100-199"}, timeout=60)
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"
    rest = requests.get(url, headers={"Range": f"bytes={len(CONTENT) - 5}-"}, timeout=60)
    assert (rest.status_code, rest.content) == (206, CONTENT[-5:])
    assert requests.put(url, data=b"x", timeout=60).status_code == 403
    alice.delete(f"accounts/feeds/{feed['id']}/")
    assert NOBODY.get(path).status == 404
