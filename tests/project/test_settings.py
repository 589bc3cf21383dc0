"""Production refuses to start with a setting that is missing or unsafe: one sentence that names it."""

import importlib.util
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).parents[2]
SAFE = {
    "SECRET_KEY": "not-guessable-" + "0" * 32,
    "ALLOWED_HOSTS": "recorder.test",
    "PUBLIC_URL": "https://recorder.test",
    "AWS_REGION": "ap-northeast-2",
    "USERS_TABLE": "users",
    "RECORDINGS_TABLE": "recordings",
    "CHANGES_TABLE": "changes",
    "RECORDINGS_BUCKET": "files",
}


class NotStartedError(Exception):
    """A start that ended in this."""


def read(**changed: str) -> Any:
    """The settings as a process reads them that has SAFE and what is `changed` as its whole environment.

    `environ` is the environment afterwards. Raises NotStartedError with the last line that the process would write.
    """
    spec = importlib.util.spec_from_file_location("settings_of_another_process", ROOT / "recorder_project/settings.py")
    assert spec
    assert spec.loader
    found: Any = importlib.util.module_from_spec(spec)
    with mock.patch.dict(os.environ, SAFE | changed, clear=True):
        try:
            spec.loader.exec_module(found)
        except ImproperlyConfigured as error:
            (line,) = traceback.format_exception_only(error)
            raise NotStartedError(line.strip()) from error
        found.environ = dict(os.environ)
    return found


def start(**changed: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    system = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", "from recorder_project import settings; print(settings.RECORDINGS_BUCKET)"],
        cwd=ROOT,
        env=system | SAFE | changed,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_safe_ones_start() -> None:
    done = start()
    assert (done.returncode, done.stdout.strip()) == (0, "files"), done.stderr
    found = read()
    assert (found.DEBUG, found.GUEST_LOGIN, found.THROTTLE, found.CSRF_COOKIE_SECURE) == (False, False, True, True)


def test_an_unsafe_one_does_not() -> None:
    done = start(SECRET_KEY="hunter2")
    assert done.returncode == 1
    with pytest.raises(NotStartedError) as stop:
        read(SECRET_KEY="hunter2")
    assert done.stderr.strip().splitlines()[-1] == str(stop.value)
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *((name, "") for name in SAFE),
        *((name, "   ") for name in ("SECRET_KEY", "PUBLIC_URL", "USERS_TABLE")),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "x" * 31),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "recorder.test,*"),
        ("ALLOWED_HOSTS", " , "),
        ("PUBLIC_URL", "http://recorder.test"),
        ("PUBLIC_URL", "recorder.test"),
        ("SECRET_KEY_FALLBACKS", f"{SAFE['SECRET_KEY']},old"),
        ("S3_PUBLIC_ENDPOINT_URL", "http://files.test"),
        *(("CORS_ORIGINS", wrong) for wrong in ("*", "app.test", "https://app.test/page", "https://*.app.test")),
        ("LOCAL", "maybe"),
        ("GUEST_LOGIN", "2"),
        ("THROTTLE", "x"),
        ("QUOTA_BYTES", "0"),
        ("QUOTA_BYTES", "-1"),
        ("QUOTA_BYTES", "5GiB"),
        ("QUOTA_BYTES", "1.5"),
        ("GUEST_QUOTA_BYTES", "x"),
        ("TRASH_DAYS", "0"),
        ("UPLOAD_DAYS", "seven"),
        ("MAX_RECORDING_BYTES", str(2**60)),
        ("MAX_RECORDING_BYTES", "²"),
    ],
)
def test_one_sentence_names_what_is_wrong(name: str, wrong: str) -> None:
    with pytest.raises(NotStartedError) as stop:
        read(**{name: wrong})
    sentence = str(stop.value)
    assert sentence.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert name in sentence
    assert sentence.endswith(".") or wrong in sentence
    assert "not-guessable" not in sentence


def test_local_needs_nothing() -> None:
    nothing = dict.fromkeys(SAFE, "")
    found = read(LOCAL="true", **nothing)
    assert (found.DEBUG, found.GUEST_LOGIN, found.S3_ENDPOINT_URL) == (True, True, "http://127.0.0.1:4566")


def test_local_is_refused_on_lambda() -> None:
    with pytest.raises(NotStartedError, match="LOCAL is true on AWS Lambda"):
        read(LOCAL="true", AWS_LAMBDA_FUNCTION_NAME="recorder")


@pytest.mark.parametrize(("word", "meant"), [("true", True), ("1", True), ("YES", True), ("off", False), ("0", False)])
def test_words_for_yes_and_no(word: str, meant: bool) -> None:
    assert read(GUEST_LOGIN=word).GUEST_LOGIN is meant


def test_presigned_urls_and_the_pages_policy_name_the_same_place() -> None:
    assert read().S3_ORIGIN == "https://files.s3.ap-northeast-2.amazonaws.com"
    assert read(AWS_REGION="cn-north-1").S3_ORIGIN == "https://files.s3.cn-north-1.amazonaws.com.cn"
    assert read(S3_PUBLIC_ENDPOINT_URL="https://public.test").S3_ORIGIN == "https://public.test"


def test_origins_may_end_in_a_slash() -> None:
    origins = "https://app.test/, http://localhost:5173,capacitor://localhost"
    found = read(CORS_ORIGINS=origins).CORS_ALLOWED_ORIGINS
    assert found == ["https://app.test", "http://localhost:5173", "capacitor://localhost"]


def test_the_embedded_aws_has_keys_of_its_own_and_other_peers_keep_theirs() -> None:
    local = {"LOCAL": "true", "AWS_ACCESS_KEY_ID": "mine"}
    other = {"AWS_ENDPOINT_URL_S3": "http://minio:9000", "AWS_ENDPOINT_URL_DYNAMODB": "http://dynamodb:8000"}
    assert read(**local).environ["AWS_ACCESS_KEY_ID"] == "test"
    assert read(**local, **other).environ["AWS_ACCESS_KEY_ID"] == "mine"


def test_endpoints() -> None:
    def found(**changed: str) -> tuple[str | None, ...]:
        settings = read(**changed)
        return settings.DYNAMODB_ENDPOINT_URL, settings.S3_ENDPOINT_URL, settings.S3_PUBLIC_ENDPOINT_URL

    assert found() == (None, None, None)
    assert found(AWS_ENDPOINT_URL="http://a") == ("http://a", "http://a", "http://a")
    own = {"AWS_ENDPOINT_URL_S3": "http://s3", "S3_PUBLIC_ENDPOINT_URL": "https://public"}
    assert found(AWS_ENDPOINT_URL="http://a", **own) == ("http://a", "http://s3", "https://public")
