"""The recorder page in Chromium, with its fake microphone, on what `make run` starts: what a person does with it."""

import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import feedparser
import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import ROOT, free_addresses, until, wait

AUDIO = ROOT / "tests" / "audio"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Recorder with its embedded AWS, which tells it of each object as S3 does."""
    home = tmp_path_factory.mktemp("page")
    url, aws = free_addresses()
    environ = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(home), "EMBEDDED_AWS_PORT": aws.rpartition(":")[2]}
    command = [sys.executable, "manage.py", "runserver", "--noreload", url.removeprefix("http://")]
    with (home / "log").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=output, stderr=output, start_new_session=True
        )
        try:
            wait(process, f"{url}/health/", home / "log")
            yield url
        finally:
            process.terminate()  # not Ctrl-C, which a shell's background jobs ignore, and what they start too
            process.wait(60)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, url: str) -> Iterator[Page]:
    """The page of a new guest. Whatever the browser complains of fails the test."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
    page.goto(f"{url}/login/")
    page.get_by_role("button", name="Continue as a guest").click()
    expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    yield page
    assert complaints == []


def begin(page: Page) -> None:
    """Record. The clock of a test starts here: a busy machine takes its time until the microphone is on."""
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("button", name="Stop and save")).to_be_visible()


def record(page: Page, seconds: float) -> float:
    """Record for so long at least. Returns how long it can have been at most."""
    began = time.monotonic()
    begin(page)
    time.sleep(seconds)
    page.get_by_role("button", name="Stop and save").click()
    return time.monotonic() - began


def length(page: Page) -> int:
    """The whole seconds of the one recording in the list."""
    minutes, seconds = page.locator(".item .length").inner_text().split(":")
    return 60 * int(minutes) + int(seconds)


def safe(page: Page, count: int = 1) -> None:
    """So many recordings are in the list, each proven and listened to."""
    expect(page.locator(".item .safe")).to_have_count(count)
    expect(page.locator(".item .length", has_text=re.compile(r"\d:\d\d"))).to_have_count(count)


def upload(page: Page, *names: str) -> None:
    page.locator("input[type=file]").set_input_files([AUDIO / name for name in names])
    safe(page, len(names))


def heights(page: Page) -> list[int]:
    """How tall the waveform stands in each column of its pixels."""
    found: list[int] = page.locator(".waveform canvas").evaluate(
        """canvas => {
            const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return Array.from({ length: width }, (_, x) =>
                Array.from({ length: height }, (_, y) => data[(y * width + x) * 4 + 3] > 128).filter(Boolean).length);
        }"""
    )
    return found


def share(page: Page) -> str:
    """Make a link as the dialog is filled in, and return it."""
    link = page.get_by_label("Link", exact=True)
    before = link.input_value() if link.count() else None
    page.get_by_role("button", name="Make a link").click()
    expect(link).to_have_value(re.compile("/s/"))
    until(page, lambda: link.input_value() != before)
    return link.input_value()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Page]:
    """Somebody with a clean browser, who has no account and is never asked for one."""
    context = browser.new_context(locale="en-US")
    yield context.new_page()
    assert not [cookie for cookie in context.cookies() if cookie["name"] == "recorder"]
    context.close()


def plays(page: Page, *, beyond: float = 0.5) -> None:
    """The one player of the page gets beyond so many seconds."""
    page.evaluate(
        """beyond => new Promise((done, failed) => {
            const audio = document.querySelector("audio");
            audio.addEventListener("timeupdate", () => audio.currentTime > beyond && done());
            audio.addEventListener("error", () => failed(audio.error.message));
            audio.play().catch(failed);
            setTimeout(() => failed("It does not get there."), 20_000);
        })""",
        beyond,
    )


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(
        "async () => (await axe.run()).violations.map(each => each.id + ': ' + each.nodes.map(node => node.html))"
    )
    return found


def test_the_life_of_a_recording(page: Page, visitor: Page) -> None:
    lasted = record(page, 6)
    safe(page)
    seconds = length(page)
    assert 5 <= seconds <= lasted
    page.locator(".item").click()

    # The fake microphone beeps twice a second: tall where it beeps, flat between.
    slider = page.get_by_role("slider", name="Position")
    expect(slider).to_have_attribute("aria-valuemax", re.compile(f"^({seconds}|{seconds + 1})$"))
    until(page, lambda: any(heights(page)))
    tall = [height > 60 for height in heights(page)]
    beeps = sum(1 for left, right in itertools.pairwise(tall) if right and not left)
    assert 8 <= beeps <= 30
    assert 0.02 < sum(tall) / len(tall) < 0.3

    page.get_by_label("Speed").select_option("2")
    page.evaluate("document.querySelector('audio').loop = true")  # it plays for as long as it takes to look
    page.get_by_role("button", name="Play").click()
    expect(slider).to_have_attribute("aria-valuenow", re.compile("[1-5]"))
    assert page.evaluate("document.querySelector('audio').playbackRate") == 2
    page.get_by_role("button", name="Pause").click()
    slider.press("Home")
    slider.press("ArrowRight")
    assert 4.5 < page.evaluate("document.querySelector('audio').currentTime") <= 5.1

    page.get_by_label("Name").fill("바다 이야기 & more")
    page.get_by_label("Name").press("Enter")
    expect(page.locator(".item .name")).to_have_text("바다 이야기 & more")
    page.get_by_label("Add a tag").fill("family")
    page.get_by_label("Add a tag").press("Enter")
    expect(page.get_by_role("button", name="Remove the tag family")).to_be_visible()
    page.get_by_label("Notes").fill("In the kitchen")
    page.get_by_label("Notes").blur()
    page.get_by_role("button", name="Favourite").click()
    expect(page.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")

    page.get_by_label("Search recordings").fill("nowhere to be found")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    for words in ("이야기", "KITCHEN"):
        page.get_by_label("Search recordings").fill(words)
        expect(page.locator(".item")).to_have_count(1)
    page.get_by_label("Search recordings").fill("")
    page.get_by_label("Tags", exact=True).select_option("family")
    expect(page.locator(".item")).to_have_count(1)
    page.get_by_role("link", name="Favourites").click()
    expect(page.locator(".item")).to_have_count(1)

    page.locator(".item").click()
    page.get_by_role("button", name="Share", exact=True).click()
    link = share(page)
    visitor.goto(link)
    expect(visitor.get_by_role("heading", name="바다 이야기 & more")).to_be_visible()
    plays(visitor, beyond=2)

    page.get_by_role("button", name="Move to trash").click()
    expect(page.locator(".item")).to_have_count(0)
    visitor.goto(link)
    expect(visitor.get_by_role("heading", name="Nothing is shared here")).to_be_visible()
    page.get_by_role("link", name="Trash").click()
    page.locator(".item").click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("link", name="Recordings").click()
    expect(page.locator(".item")).to_have_count(1)
    page.locator(".item").click()
    page.get_by_role("button", name="Move to trash").click()
    page.get_by_role("link", name="Trash").click()
    page.locator(".item").click()
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()


def test_a_tab_that_dies_loses_two_seconds_at_most(page: Page, context: BrowserContext, url: str) -> None:
    begin(page)
    page.wait_for_timeout(7000)
    page.close(run_before_unload=False)
    again = context.new_page()
    again.goto(url)
    expect(again.get_by_role("heading", name="A recording was interrupted")).to_be_visible()
    again.get_by_role("button", name="Keep it").click()
    safe(again)
    assert length(again) >= 4


def test_what_is_recorded_offline_is_sent_later(page: Page, context: BrowserContext, url: str) -> None:
    page.evaluate("navigator.serviceWorker.ready")
    page.reload()
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()
    context.set_offline(True)
    record(page, 3)
    expect(page.get_by_text("Waiting for the network")).to_be_visible()
    page.reload()  # it opens offline, and has forgotten nothing
    expect(page.get_by_text("You are offline.", exact=False).first).to_be_visible()
    expect(page.get_by_text("Waiting for the network")).to_be_visible()
    context.set_offline(False)
    safe(page)


def test_two_tabs(page: Page, context: BrowserContext, url: str) -> None:
    """One records, the other knows that this recording lives, and what is sent is sent once."""
    other = context.new_page()
    other.goto(url)
    begin(page)
    page.wait_for_timeout(3000)
    other.reload()
    expect(other.get_by_role("button", name="Record", exact=True)).to_be_visible()
    expect(other.get_by_role("heading", name="A recording was interrupted")).to_have_count(0)
    page.get_by_role("button", name="Stop and save").click()
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()  # or it would ask before it leaves
    page.wait_for_timeout(3000)
    page.reload()
    safe(page)


def test_a_blocked_microphone_is_explained(browser: Browser, url: str) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    page.goto(f"{url}/login/")
    page.get_by_role("button", name="Continue as a guest").click()
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Allow the microphone")
    context.close()


def test_files_of_every_kind(page: Page, tmp_path: Path) -> None:
    upload(page, "speech.m4a", "speech.mp3", "speech.wav", "speech.webm", "speech.ogg")
    lengths = page.locator(".item .length").all_inner_texts()
    assert lengths == ["0:03"] * 5
    text = tmp_path / "letter.txt"
    text.write_text("not audio")
    page.locator("input[type=file]").set_input_files(text)
    expect(page.get_by_text("“letter.txt” is not audio.")).to_be_visible()


def test_a_large_file_goes_in_parts(page: Page, tmp_path: Path) -> None:
    header = (AUDIO / "speech.wav").read_bytes()[:44]
    large = tmp_path / "lecture.wav"
    large.write_bytes(header[:4] + b"\xff\xff\xff\xff" + header[8:40] + b"\xff\xff\xff\xff" + bytes(17 * 2**20))
    page.locator("input[type=file]").set_input_files(large)
    expect(page.locator(".item .safe")).to_have_count(1, timeout=60_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_everybody_can_use_it(browser: Browser, page: Page, url: str, scheme: str, width: int) -> None:
    """axe finds nothing, nothing is wider than the screen. SCREENSHOTS names a folder to keep what it looks like."""
    upload(page, "speech.m4a", "speech.ogg", "speech.mp3")
    page.set_viewport_size({"width": width, "height": 740 if width < 500 else 900})
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    seen = 0

    def look(name: str, page: Page = page) -> None:
        nonlocal seen
        seen += 1
        page.wait_for_timeout(500)
        assert violations(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"page-{name}-{scheme}-{width}.png")

    look("list")
    page.locator(".item").nth(1).click()
    page.get_by_label("Name").fill("Grandmother tells of the harbour")
    page.get_by_label("Name").press("Enter")
    page.get_by_label("Add a tag").fill("family")
    page.get_by_label("Add a tag").press("Enter")
    page.get_by_label("Notes").fill("In the kitchen. From 0:02 on in Korean.")
    page.get_by_role("slider").focus()
    page.get_by_role("slider").press("ArrowRight")
    look("recording")
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_label("Only a part").check()
    look("share")
    page.get_by_label("Only a part").uncheck()
    shared = page.context.new_page()
    shared.set_viewport_size(page.viewport_size or {"width": width, "height": 900})
    shared.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    shared.goto(share(page))
    look("made")
    look("shared", shared)
    page.get_by_label("Password").fill("open sesame")
    shared.goto(share(page))
    look("password", shared)
    shared.goto(f"{url}/s/nothing")
    look("gone", shared)
    shared.close()
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1500)
    look("running")
    page.get_by_role("button", name="Stop and save").click()
    page.get_by_role("link", name="Account").click()
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()
    page.get_by_role("button", name="Make a feed").click()
    expect(page.get_by_label("Address of the feed")).to_be_visible()
    look("account")
    page.get_by_role("link", name="Trash").click()
    look("trash")
    assert seen == 10


def test_sharing(page: Page, visitor: Page) -> None:
    upload(page, "speech.m4a")
    page.locator(".item").click()
    page.get_by_role("slider", name="Position").press("ArrowRight")
    page.get_by_role("button", name="Share", exact=True).press("Enter")
    dialog = page.get_by_role("dialog", name="Share")
    expect(dialog).to_contain_text("None yet")
    page.get_by_label("Works for").select_option("1 day")
    link = share(page)
    expect(dialog.get_by_role("button", name="Revoke")).to_have_count(1)

    answer = visitor.goto(link)
    assert answer
    assert answer.headers["x-robots-tag"] == "noindex"
    plays(visitor)
    with visitor.expect_download() as download:
        visitor.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "speech.m4a"
    assert download.value.path().read_bytes() == (AUDIO / "speech.m4a").read_bytes()

    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Share", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Link", exact=True)).to_have_count(0)  # it is shown once
    dialog.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog", name="Revoke").get_by_role("button", name="Revoke").click()
    expect(dialog).to_contain_text("None yet")
    gone = visitor.goto(link)
    assert gone
    assert gone.status == 404
    expect(visitor.get_by_role("heading", name="Nothing is shared here")).to_be_visible()


def test_a_link_with_a_password(page: Page, visitor: Page) -> None:
    upload(page, "speech.m4a")
    page.locator(".item").click()
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_label("Password").fill("열려라 참깨, 열려라")
    visitor.goto(share(page))
    expect(page.get_by_role("dialog", name="Share")).to_contain_text("with a password")
    expect(page.get_by_label("Password")).to_have_value("")
    visitor.get_by_label("Password").fill("guess")
    visitor.get_by_role("button", name="Open").click()
    expect(visitor.get_by_role("alert")).to_be_visible()
    expect(visitor.locator("audio")).to_have_count(0)
    visitor.get_by_label("Password").fill("열려라 참깨, 열려라")
    visitor.get_by_role("button", name="Open").click()
    plays(visitor)


def test_a_link_with_a_password_of_recorders_choosing(page: Page, visitor: Page) -> None:
    upload(page, "speech.m4a")
    page.locator(".item").click()
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_label("Let Recorder choose one").check()
    expect(page.get_by_label("Password")).to_be_disabled()
    visitor.goto(share(page))
    visitor.get_by_label("Password").fill(page.locator(".told strong").inner_text())
    visitor.get_by_role("button", name="Open").click()
    plays(visitor)
    expect(page.get_by_label("Password")).to_be_enabled()


def test_a_link_to_a_part(page: Page, visitor: Page) -> None:
    """From where the player stands, to a time that is written; the rest is out of the listener's reach."""
    upload(page, "speech.wav")
    page.locator(".item").click()
    page.get_by_role("button", name="Share", exact=True).click()
    page.evaluate("document.querySelector('audio').currentTime = 1")
    dialog = page.get_by_role("dialog", name="Share")
    dialog.get_by_label("Only a part").check()
    dialog.get_by_role("button", name="From here").click()
    expect(dialog.get_by_label("From", exact=True)).to_have_value("0:01")
    dialog.get_by_label("To", exact=True).fill("0:00.5")
    page.get_by_role("button", name="Make a link").click()
    assert dialog.get_by_label("To", exact=True).evaluate("field => field.validationMessage") != ""
    dialog.get_by_label("To", exact=True).fill("0:02.5")
    link = share(page)
    expect(dialog.locator(".links")).to_contain_text("0:01 to 0:02.5")
    expect(dialog.locator(".links")).not_to_contain_text("being cut")
    visitor.goto(link)
    plays(visitor)
    assert 1.4 < visitor.evaluate("document.querySelector('audio').duration") < 1.6


def test_a_podcast_feed(page: Page, url: str) -> None:
    upload(page, "speech.m4a", "speech.ogg")
    page.get_by_role("link", name="Account").click()
    page.get_by_label("Title").fill("On the way")
    page.get_by_role("button", name="Make a feed").click()
    address = page.get_by_label("Address of the feed").input_value()
    assert address.startswith(f"{url}/feed/")
    feed = feedparser.parse(httpx.get(address, timeout=20).content)
    assert not feed.bozo
    assert feed.feed.title == "On the way"
    found = {entry.title: entry for entry in feed.entries}
    assert set(found) == {"speech.m4a", "speech.ogg"}
    assert found["speech.m4a"].itunes_duration in ("3", "4")
    bytes = httpx.get(found["speech.m4a"].enclosures[0].href, follow_redirects=True, timeout=20).content
    assert bytes == (AUDIO / "speech.m4a").read_bytes()
    assert httpx.get(feed.feed.image.href, timeout=20).headers["Content-Type"] == "image/png"

    page.reload()
    expect(page.get_by_label("Address of the feed")).to_have_count(0)  # it is shown once
    page.get_by_role("button", name="Delete the feed").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("button", name="Delete the feed")).to_have_count(0)
    assert httpx.get(address, timeout=20).status_code == 404


def test_what_went_into_the_trash_comes_back(page: Page) -> None:
    upload(page, "speech.m4a")
    page.locator(".item").click()
    page.get_by_role("button", name="Move to trash").click()
    expect(page.locator(".item")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".item")).to_have_count(1)
    expect(page.get_by_text("Restored")).to_be_visible()
    page.get_by_role("link", name="Trash").click()
    expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    page.get_by_role("link", name="Recordings").click()
    expect(page.locator(".item")).to_have_count(1)


STORE = """async account => {
    const database = await new Promise((done) => {
        const asked = indexedDB.open(`recorder-${account}`, 1);
        asked.onsuccess = () => done(asked.result);
    });
    const read = database.transaction(["takes", "chunks"]);
    const takes = read.objectStore("takes").getAll(), chunks = read.objectStore("chunks").getAll();
    await new Promise((done) => (read.oncomplete = done));
    database.close();
    return takes.result.map((take) => ({
        ...take, pieces: chunks.result.filter((piece) => piece.take === take.id).map((piece) => piece.blob.size) }));
}"""


def account(page: Page) -> str:
    return page.locator("body").get_attribute("data-account") or ""


def stored(page: Page, of: str = "") -> list[dict[str, Any]]:
    """The takes in the browser's store of an account, each with the sizes of its pieces."""
    found: list[dict[str, Any]] = page.evaluate(STORE, of or account(page))
    return found


def names(page: Page) -> list[str]:
    """The names of the recordings of who is signed in now."""
    listed = page.context.request.get(page.url.partition("/#")[0].rstrip("/") + "/api/v1/recordings/").json()
    return [row["name"] for row in listed["results"]]


def another_guest(page: Page, url: str) -> Page:
    """Another tab, where somebody else has signed in."""
    tab = page.context.new_page()
    before = account(page)
    tab.context.clear_cookies(name="recorder")
    tab.goto(f"{url}/login/")
    tab.get_by_role("button", name="Continue as a guest").click()
    expect(tab.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    assert account(tab) != before
    return tab


def test_a_tab_that_was_left_open_does_nothing_in_another_account(page: Page, url: str) -> None:
    alice = account(page)
    page.route("**/api/v1/recordings/", lambda route: route.abort())
    page.locator("input[type=file]").set_input_files(AUDIO / "speech.m4a")
    expect(page.locator(".pending li")).to_have_count(1)
    bobs = another_guest(page, url)
    page.unroute("**/api/v1/recordings/")
    expect(page.locator("body")).to_have_attribute("data-account", account(bobs))  # by itself
    assert names(bobs) == []
    (take,) = stored(page, alice)
    assert (take["state"], take.get("problem"), len(take["pieces"])) == ("waiting", None, 1)


def test_a_tab_that_was_left_open_closes_no_other_account(page: Page, url: str) -> None:
    page.get_by_role("link", name="Account").click()
    page.get_by_role("button", name="Close the account").click()
    bobs = another_guest(page, url)
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("body")).to_have_attribute("data-account", account(bobs))
    assert page.context.request.get(f"{url}/api/v1/accounts/me/").json()["user_id"] == account(bobs)


def test_a_recording_goes_on_when_its_account_is_signed_out(page: Page, url: str) -> None:
    alice = account(page)
    page.get_by_role("button", name="Record", exact=True).click()
    bobs = another_guest(page, url)
    page.evaluate("dispatchEvent(new Event('used'))")
    expect(page.get_by_role("alert")).to_contain_text("The recording goes on")
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop and save").click()
    expect(page.locator("body")).to_have_attribute("data-account", account(bobs))
    (take,) = stored(page, alice)
    assert (take["state"], take.get("problem")) == ("waiting", None)
    assert sum(take["pieces"]) > 0
    assert names(bobs) == []


REFUSING = """() => {
    const put = IDBObjectStore.prototype.put;
    window.refusing = 0;
    IDBObjectStore.prototype.put = function (value) {
        if (this.name === "chunks" && window.refusing-- > 0) {
            if (window.fault === "closed") this.transaction.db.close();
            this.transaction.abort();
            throw new DOMException("full", "QuotaExceededError");
        }
        return put.call(this, value);
    };
}"""


@pytest.mark.parametrize("fault", ["full", "closed"])
def test_a_piece_that_does_not_fit_is_kept_later(page: Page, fault: str) -> None:
    page.evaluate(REFUSING)
    page.evaluate("fault => { window.fault = fault; }", fault)
    begin(page)
    page.wait_for_timeout(3000)
    page.evaluate("window.refusing = 2")
    expect(page.get_by_role("alert")).to_contain_text("There is no room for the recording")
    expect(page.locator(".problem")).to_be_empty()
    page.wait_for_timeout(2000)
    page.get_by_role("button", name="Stop and save").click()
    safe(page)
    assert length(page) >= 8  # nothing is missing in the middle
    assert stored(page) == []


def test_what_does_not_fit_at_the_end_is_not_given_up(page: Page) -> None:
    page.evaluate(REFUSING)
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2500)
    page.evaluate("window.refusing = 1000")
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop and save").click()
    with page.expect_download() as download:
        page.get_by_role("alert").get_by_role("button", name="Download").click()
    assert download.value.suggested_filename.endswith(".webm")
    assert violations(page) == []
    everything = download.value.path().read_bytes()
    page.evaluate("window.refusing = 0")
    page.get_by_role("button", name="Stop and save").click()
    safe(page)
    expect(page.locator(".problem")).to_be_empty()
    page.locator(".item").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.path().read_bytes() == everything


HEARD = """() => {
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.streams = [];
    navigator.mediaDevices.getUserMedia = async (what) => {
        const stream = await ask(what);
        window.streams.push(stream);
        return stream;
    };
}"""
LIVE = "streams.flatMap((stream) => stream.getTracks()).filter((track) => track.readyState === 'live').length"
HELD = "navigator.locks.query().then(({ held }) => held.filter(({ name }) => name.startsWith('take')).length)"


@pytest.mark.parametrize("event", ["the recorder stops", "only the track ends"])
def test_the_microphone_goes_away(page: Page, event: str) -> None:
    page.evaluate(HEARD)
    begin(page)
    page.wait_for_timeout(3000)
    track = "streams[0].getTracks()[0]"
    page.evaluate(f"{track}.stop()" if "recorder" in event else f"{track}.dispatchEvent(new Event('ended'))")
    expect(page.get_by_role("alert")).to_contain_text("The microphone is gone")
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()
    safe(page)
    assert length(page) >= 2
    assert page.evaluate(LIVE) == 0
    assert page.evaluate(HELD) == 0


def test_a_double_click_records_once(page: Page) -> None:
    page.evaluate(HEARD)
    page.get_by_role("button", name="Record", exact=True).dblclick()
    expect(page.get_by_role("button", name="Stop and save")).to_be_visible()
    page.wait_for_timeout(3000)
    assert page.evaluate("streams.length") == 1
    assert len(stored(page)) == 1
    page.get_by_role("button", name="Stop and save").click()
    safe(page)
    assert page.evaluate(LIVE) == 0


def test_a_recording_that_can_not_begin_leaves_nothing_on(page: Page) -> None:
    page.evaluate(HEARD)
    page.evaluate("() => { window.AudioContext = class { constructor() { throw new Error('No sound here.'); } }; }")
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("No sound here.")
    assert page.evaluate(LIVE) == 0
    assert page.evaluate(HELD) == 0
    assert stored(page) == []
    expect(page.get_by_role("heading", name="A recording was interrupted")).to_have_count(0)


ONE = re.compile("/api/v1/recordings/[0-9a-f]{32}/$")
COMPLETE = re.compile("/complete/$")


def unproven(route: Route) -> None:
    """What the server says while it has not read the bytes yet."""
    answer = route.fetch()
    route.fulfill(response=answer, json=answer.json() | {"verified_at": None})


def mismatched(route: Route) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, json=answer.json() | {"verified_at": None, "status": "mismatch"})


def test_the_copy_in_the_browser_stays_until_the_proof(page: Page) -> None:
    page.route(COMPLETE, unproven)
    page.route(ONE, unproven)
    page.locator("input[type=file]").set_input_files(AUDIO / "speech.m4a")
    expect(page.locator(".item")).to_have_count(1)
    expect(page.locator(".item")).to_contain_text("Being checked")
    expect(page.locator(".pending li")).to_have_count(0)
    page.wait_for_timeout(3000)
    (take,) = stored(page)
    assert (take["state"], take["pieces"]) == ("sent", [(AUDIO / "speech.m4a").stat().st_size])

    page.reload()  # the next start looks at once, and there is no proof yet
    expect(page.locator(".item")).to_have_count(1)
    page.wait_for_timeout(1500)
    assert [take["state"] for take in stored(page)] == ["sent"]
    assert page.locator(".pending li").count() == 0
    page.unroute(ONE)
    page.reload()
    safe(page)
    until(page, lambda: stored(page) == [])


def test_what_arrived_as_something_else_is_sent_again_once(page: Page, url: str) -> None:
    tries: list[str] = []
    page.on("request", lambda request: tries.append(request.url) if request.method == "PUT" else None)
    page.route(COMPLETE, unproven)
    page.route(ONE, mismatched)
    page.locator("input[type=file]").set_input_files(AUDIO / "speech.m4a")
    expect(page.locator(".item")).to_have_count(1)
    until(page, lambda: [take["state"] for take in stored(page)] == ["sent"])
    assert len(tries) == 1
    # The server, asked again, still reads what it got last: nothing is sent twice because of that.
    page.reload()
    page.wait_for_timeout(1500)
    assert ([take["state"] for take in stored(page)], len(tries)) == (["sent"], 1)

    def asks_again(route: Route) -> None:
        if route.request.method != "POST":
            return route.continue_()
        made = route.fetch().json()
        to = {"kind": "single", "method": "PUT", "url": f"{url}/bucket", "headers": {}, "expires_at": ""}
        return route.fulfill(status=200, json={"recording": made["recording"], "upload": to})

    page.route("**/api/v1/recordings/", asks_again)
    page.route("**/bucket", lambda route: route.fulfill(status=200))
    page.reload()
    until(page, lambda: ([take["state"] for take in stored(page)], len(tries)) == (["sent"], 2))
    page.reload()
    expect(page.locator(".pending li")).to_contain_text("Not sent: The stored bytes are not those that were sent")
    page.unroute(ONE)
    page.unroute(COMPLETE)
    page.unroute("**/api/v1/recordings/")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".pending li")).to_have_count(0)
    safe(page)
    assert stored(page) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "ConditionalRequestConflict"), (400, "RequestTimeout"), (400, "ExpiredToken"), (403, "AccessDenied")],
)
def test_what_s3_takes_a_moment_later_is_sent_again(page: Page, status: int, code: str) -> None:
    bodies = [f"<Error><Code>{code}</Code></Error>"]

    def refuse_once(route: Route) -> None:
        if route.request.method != "PUT" or not bodies:
            return route.fallback()
        headers = {"Access-Control-Allow-Origin": "*"}
        return route.fulfill(status=status, body=bodies.pop(), content_type="application/xml", headers=headers)

    page.route("**/recordings/*/*/*", refuse_once)
    page.locator("input[type=file]").set_input_files(AUDIO / "speech.m4a")
    safe(page)
    assert bodies == []
    until(page, lambda: stored(page) == [])


def test_what_s3_never_takes_is_told(page: Page) -> None:
    def refuse(route: Route) -> None:
        if route.request.method != "PUT":
            return route.fallback()
        body, headers = "<Error><Code>BadDigest</Code></Error>", {"Access-Control-Allow-Origin": "*"}
        return route.fulfill(status=400, body=body, content_type="application/xml", headers=headers)

    page.route("**/recordings/*/*/*", refuse)
    page.locator("input[type=file]").set_input_files(AUDIO / "speech.m4a")
    expect(page.locator(".pending li")).to_contain_text("Not sent: S3: 400")
    assert [take["state"] for take in stored(page)] == ["waiting"]


def test_what_was_deleted_before_its_proof_is_asked_about(page: Page, url: str) -> None:
    page.route(COMPLETE, unproven)
    page.route(ONE, unproven)
    page.locator("input[type=file]").set_input_files(AUDIO / "speech.m4a")
    expect(page.locator(".item")).to_have_count(1)
    until(page, lambda: [take["state"] for take in stored(page)] == ["sent"])
    page.unroute(ONE)
    page.route(ONE, lambda route: route.fulfill(status=404, json={"code": "not_found", "detail": "Nothing here."}))
    page.reload()
    expect(page.locator(".pending li")).to_contain_text("It was deleted before it could be checked")
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(page.locator(".pending li")).to_have_count(0)
    assert stored(page) == []


def no_guest(route: Route) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, json=answer.json() | {"is_guest": False})


def test_signing_out(page: Page) -> None:
    page.route("**/accounts/me/", no_guest)
    page.get_by_role("link", name="Account").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_a_guest_is_asked_before_signing_out(page: Page) -> None:
    page.get_by_role("link", name="Account").click()
    leave = page.get_by_role("button", name="Sign out", exact=True)
    leave.click()
    dialog = page.get_by_role("dialog", name="You are a guest")
    expect(dialog).to_contain_text("nobody, not even you, can come back")
    assert violations(page) == []
    dialog.get_by_role("button", name="Cancel").click()
    leave.click()
    dialog.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_who_leaves_something_in_the_browser_is_asked_before_signing_out(page: Page) -> None:
    alice = account(page)
    page.route("**/accounts/me/", no_guest)
    page.route("**/api/v1/recordings/", lambda route: route.abort())
    page.locator("input[type=file]").set_input_files(AUDIO / "speech.m4a")
    expect(page.locator(".pending li")).to_have_count(1)
    page.get_by_role("link", name="Account").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    dialog = page.get_by_role("dialog", name="Recordings that are in this browser alone: 1")
    expect(dialog).to_contain_text("They are sent when you sign in")
    expect(dialog).not_to_contain_text("guest")
    dialog.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert [take["state"] for take in stored(page, alice)] == ["waiting"]


def test_korean(browser: Browser, url: str) -> None:
    context = browser.new_context(locale="ko-KR")
    page = context.new_page()
    page.goto(f"{url}/login/")
    page.locator("form button").first.click()
    expect(page.get_by_role("button", name="녹음하기")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "ko"
    context.close()


def test_markers(page: Page) -> None:
    begin(page)
    timer = page.locator(".timer")
    until(page, lambda: timer.inner_text() >= "0:02")
    page.get_by_role("button", name="Mark this moment").first.click()
    latest = timer.inner_text()
    page.wait_for_timeout(2000)
    page.get_by_role("button", name="Stop and save").click()
    safe(page)
    page.locator(".item").click()
    label = page.get_by_label("Label of the marker at 0:")
    expect(label).to_have_value("Marker 1")
    at = (label.get_attribute("aria-label") or "")[-4:]
    assert "0:02" <= at <= latest  # a busy machine may reach the button a second later
    label.fill("The story begins")
    label.press("Tab")
    with page.expect_response(lambda answer: "Marker 2" in (answer.request.post_data or "")):
        page.get_by_role("slider", name="Position").press("m")
    expect(page.get_by_label("Label of the marker at 0:00")).to_have_value("Marker 2")
    page.get_by_role("button", name=f"Go to {at}").click()
    assert int(at[2:]) < page.evaluate("document.querySelector('audio').currentTime") < int(at[2:]) + 1
    with page.expect_download() as download:
        page.get_by_role("link", name="WebVTT").click()
    text = download.value.path().read_text()
    assert text.startswith(f"WEBVTT\n\n00:00:00.000 --> 00:00:{at[2:]}.")
    assert "The story begins" in text
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):  # a reload would take it back
        page.get_by_role("button", name="Remove the marker at 0:00").click()
    page.reload()
    page.locator(".item").click()
    expect(page.locator(".markers li")).to_have_count(1)
    expect(page.get_by_label(f"Label of the marker at {at}")).to_have_value("The story begins")
