"""Production refuses to start with a setting that is missing or unsafe: one sentence that names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def read(show: str = "''", **changed: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process of its own, with SAFE and what is `changed` as its whole environment."""
    system = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", f"from recorder_project import settings; print({show})"],
        cwd=ROOT,
        env=system | SAFE | changed,
        capture_output=True,
        text=True,
        timeout=60,
    )


def value(show: str, **changed: str) -> str:
    done = read(show, **changed)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_safe_ones_start() -> None:
    shown = value("(settings.DEBUG, settings.GUEST_LOGIN, settings.THROTTLE, settings.CSRF_COOKIE_SECURE)")
    assert shown == "(False, False, True, True)"


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
    done = read(**{name: wrong})
    sentence = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert sentence.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert name in sentence
    assert sentence.endswith(".") or wrong in sentence
    assert "not-guessable" not in done.stderr


def test_a_secret_is_not_shown() -> None:
    assert "hunter2" not in read(SECRET_KEY="hunter2").stderr


def test_local_needs_nothing() -> None:
    nothing = dict.fromkeys(SAFE, "")
    shown = value("(settings.DEBUG, settings.GUEST_LOGIN, settings.S3_ENDPOINT_URL)", LOCAL="true", **nothing)
    assert shown == "(True, True, 'http://127.0.0.1:4566')"


def test_local_is_refused_on_lambda() -> None:
    done = read(LOCAL="true", AWS_LAMBDA_FUNCTION_NAME="recorder")
    assert done.returncode == 1
    assert "LOCAL is true on AWS Lambda" in done.stderr


@pytest.mark.parametrize(("word", "meant"), [("true", True), ("1", True), ("YES", True), ("off", False), ("0", False)])
def test_words_for_yes_and_no(word: str, meant: bool) -> None:
    assert value("settings.GUEST_LOGIN", GUEST_LOGIN=word) == str(meant)


def test_presigned_urls_and_the_pages_policy_name_the_same_place() -> None:
    show = "settings.S3_ORIGIN"
    assert value(show) == "https://files.s3.ap-northeast-2.amazonaws.com"
    assert value(show, AWS_REGION="cn-north-1") == "https://files.s3.cn-north-1.amazonaws.com.cn"
    assert value(show, S3_PUBLIC_ENDPOINT_URL="https://public.test") == "https://public.test"


def test_origins_may_end_in_a_slash() -> None:
    origins = "https://app.test/, http://localhost:5173,capacitor://localhost"
    shown = value("settings.CORS_ALLOWED_ORIGINS", CORS_ORIGINS=origins)
    assert shown == "['https://app.test', 'http://localhost:5173', 'capacitor://localhost']"


def test_the_embedded_aws_has_keys_of_its_own_and_other_peers_keep_theirs() -> None:
    show, local = "settings.os.environ['AWS_ACCESS_KEY_ID']", {"LOCAL": "true", "AWS_ACCESS_KEY_ID": "mine"}
    other = {"AWS_ENDPOINT_URL_S3": "http://minio:9000", "AWS_ENDPOINT_URL_DYNAMODB": "http://dynamodb:8000"}
    assert value(show, **local) == "test"
    assert value(show, **local, **other) == "mine"


def test_endpoints() -> None:
    show = "(settings.DYNAMODB_ENDPOINT_URL, settings.S3_ENDPOINT_URL, settings.S3_PUBLIC_ENDPOINT_URL)"
    assert value(show) == "(None, None, None)"
    assert value(show, AWS_ENDPOINT_URL="http://a") == "('http://a', 'http://a', 'http://a')"
    own = {"AWS_ENDPOINT_URL_S3": "http://s3", "S3_PUBLIC_ENDPOINT_URL": "https://public"}
    assert value(show, AWS_ENDPOINT_URL="http://a", **own) == "('http://a', 'http://s3', 'https://public')"
