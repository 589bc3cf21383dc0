"""Signing in at a certified OpenID provider, in a real browser: the web login from the first click to the last."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, Server, free_addresses, wait
from tests.oidc.peer import CLIENTS, SECRET, Provider, running
from tests.signer import hashed, jwks


@pytest.fixture(scope="module")
def recorder(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Provider]]:
    """One more Recorder on the same peers, which offers the provider as `corp`."""
    url, _ = free_addresses()
    clients = [{**CLIENTS[0], "redirect_uris": [f"{url}/login/corp/callback/"]}, *CLIENTS[1:]]
    log = tmp_path_factory.mktemp("signin") / "log"
    with running(jwks(("RS256", "one"), ("ES256", "two"), private=True), clients) as provider:
        environ = server.environ | {
            "PUBLIC_URL": url,
            "OIDC_CORP_ISSUER": provider.issuer,
            "OIDC_CORP_CLIENT_IDS": "web,phone",
            "OIDC_CORP_CLIENT_SECRET": SECRET,
        }
        command = [sys.executable, "manage.py", "runserver", "--noreload", url.removeprefix("http://")]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
            try:
                wait(process, f"{url}/health/", log)
                yield replace(server, url=url, process=process), provider
            finally:
                process.terminate()
                process.wait(20)
        check_log(log)


def check_log(log: Path) -> None:
    """The server of this test logs its requests: none of them with the code that came with it."""
    said = log.read_text()
    assert "/login/corp/callback/" in said
    assert "code=" not in said
    assert "eyJ" not in said


def sign_in(page: Page, person: str) -> None:
    """On the provider's own pages: who one is, and that Recorder may know."""
    page.get_by_placeholder("Enter any login").fill(person)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_sign_in_look_around_and_sign_out(recorder: tuple[Server, Provider], page: Page) -> None:
    server, provider = recorder
    page.goto(f"{server.url}/api/v1/accounts/me/")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("link", name="Continue with Corp").click()
    expect(page).to_have_url(re.compile(re.escape(provider.issuer)))
    sign_in(page, "alice")

    expect(page).to_have_url(f"{server.url}/api/v1/accounts/me/")  # where one came from
    expect(page.locator(".response-info")).to_contain_text("Person alice")
    (key,) = (cookie for cookie in page.context.cookies() if cookie["name"] == "recorder")
    assert (key["httpOnly"], key["sameSite"]) == (True, "Lax")
    assert [cookie["name"] for cookie in page.context.cookies() if "login" in cookie["name"]] == []

    page.goto(server.url)
    expect(page.locator("body")).to_have_attribute("data-account", key["value"].partition(".")[0])
    expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    page.goto(f"{server.url}/api/v1/accounts/identities/")
    expect(page.locator(".response-info")).to_contain_text("alice@example.com")

    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{server.url}/")
    page.goto(f"{server.url}/api/v1/accounts/me/")
    expect(page.locator(".response-info")).to_contain_text("401")
    stale = page.context.request.get(
        f"{server.url}/api/v1/accounts/me/", headers={"Authorization": f"Bearer {key['value']}"}
    )
    assert stale.status == 401


def test_a_guest_links_a_login_and_stays_who_he_is(recorder: tuple[Server, Provider], page: Page) -> None:
    server, _ = recorder
    page.goto(f"{server.url}/login/")
    page.get_by_role("button", name="Continue as a guest").click()
    expect(page.locator("body")).to_have_attribute("data-account", re.compile("[0-9a-f]{32}"))
    guest = page.locator("body").get_attribute("data-account") or ""
    page.get_by_role("link", name="Account").click()
    page.get_by_role("link", name="Link another login").click()
    page.get_by_role("button", name="Link Corp").click()
    sign_in(page, "bob")
    expect(page).to_have_url(f"{server.url}/#/account")
    expect(page.locator("body")).to_have_attribute("data-account", guest)
    expect(page.get_by_text("bob@example.com")).to_be_visible()
    expect(page.get_by_text("You are a guest")).to_have_count(0)
    page.goto(f"{server.url}/api/v1/accounts/me/")
    expect(page.locator(".response-info")).to_contain_text('"is_guest": false')


def test_a_guest_is_asked_before_another_account_takes_the_browser(
    recorder: tuple[Server, Provider], page: Page
) -> None:
    server, _ = recorder
    body, back = page.locator("body"), page.get_by_role("link", name="Back", exact=True)
    page.goto(f"{server.url}/login/")
    page.get_by_role("button", name="Continue as a guest").click()
    expect(body).to_have_attribute("data-account", re.compile("[0-9a-f]{32}"))
    guest = body.get_attribute("data-account") or ""

    page.goto(f"{server.url}/login/")
    page.get_by_role("link", name="Continue with Corp").click()
    expect(page.get_by_role("heading", name="This browser's guest account")).to_be_visible()
    back.click()
    expect(body).to_have_attribute("data-account", guest)

    login = {"provider": "guest"}
    other = httpx.post(f"{server.api}accounts/login/", json=login, timeout=20).raise_for_status().json()
    page.goto(f"{server.url}/login/")
    page.get_by_label("Key of a signed-in app").fill(other["auth_key"])
    page.get_by_role("button", name="Sign in with the key").click()
    expect(page.get_by_role("button", name="Leave it behind and sign in with the key")).to_be_visible()
    back.click()
    expect(body).to_have_attribute("data-account", guest)

    page.goto(f"{server.url}/login/corp/")
    page.get_by_role("button", name="Leave it behind and continue with Corp").click()
    sign_in(page, "carol")
    expect(page).to_have_url(f"{server.url}/")
    expect(body).to_have_attribute("data-account", re.compile(f"(?!{guest})[0-9a-f]{{32}}"))


def test_a_feed_wants_a_login_of_just_now_and_leads_to_it(recorder: tuple[Server, Provider], page: Page) -> None:
    server, _ = recorder
    page.goto(f"{server.url}/login/corp/?next=/%23/account")
    sign_in(page, "dave")
    expect(page).to_have_url(f"{server.url}/#/account")
    (key,) = (cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "recorder")
    signed_in_at(server, key, "2026-01-01T00:00:00.000Z")

    page.get_by_role("button", name="Make a feed").click()
    page.get_by_role("link", name="Continue with Corp").click()  # which still knows dave, and asks nothing
    expect(page.get_by_text("dave@example.com")).to_be_visible()
    expect(page).to_have_url(f"{server.url}/#/account")
    page.get_by_role("button", name="Make a feed").click()
    expect(page.get_by_label("Address of the feed")).to_have_value(re.compile(f"^{re.escape(server.url)}/feed/"))


def signed_in_at(server: Server, key: str, moment: str) -> None:
    user_id, _, secret = key.partition(".")
    endpoint = server.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1").update_item(
        TableName="recorder-users",
        Key={"id": {"S": user_id}, "auth_key": {"S": hashed(secret)}},
        UpdateExpression="SET authenticated_at = :moment",
        ConditionExpression="attribute_exists(id)",
        ExpressionAttributeValues={":moment": {"S": moment}},
    )


def test_one_who_says_no_is_told_so(recorder: tuple[Server, Provider], page: Page) -> None:
    server, provider = recorder
    page.goto(f"{server.url}/login/corp/")
    page.get_by_role("link", name="[ Cancel ]").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing came of signing in")
    assert provider.issuer not in page.url
