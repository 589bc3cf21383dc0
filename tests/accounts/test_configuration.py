"""Login providers that are half configured, or in an unsafe way, stop the start with a sentence that says why."""

import pytest

from tests.project.test_settings import NotStartedError, read

CORP = {"OIDC_CORP_ISSUER": "https://issuer.test", "OIDC_CORP_CLIENT_IDS": "app"}
APPLE = {"APPLE_TEAM_ID": "T", "APPLE_KEY_ID": "K", "APPLE_PRIVATE_KEY": r"-----BEGIN PRIVATE KEY-----\nabc"}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("GOOGLE_CLIENT_SECRET", {"GOOGLE_CLIENT_SECRET": "s"}),
        ("GITHUB_CLIENT_SECRET", {"GITHUB_CLIENT_IDS": "app"}),
        ("APPLE_TEAM_ID", {**APPLE, "APPLE_TEAM_ID": ""}),
        ("APPLE_PRIVATE_KEY", {**APPLE, "APPLE_PRIVATE_KEY": "/etc/apple.p8"}),
        ("KAKAO_ADMIN_KEY", {"KAKAO_ADMIN_KEY": "k"}),
        ("OIDC_CORP_CLIENT_IDS", {**CORP, "OIDC_CORP_CLIENT_IDS": " , "}),
        ("OIDC_CORP_ISSUER", {**CORP, "OIDC_CORP_ISSUER": "http://issuer.test"}),
        ("OIDC_CORP_ISSUER", {**CORP, "OIDC_CORP_ISSUER": "http://127.0.0.1:9000"}),
        ("OIDC_CORP_ISSUER", {**CORP, "OIDC_CORP_ISSUER": "https://issuer.test/?a=b"}),
        ("OIDC_CORP_ALGORITHMS", {**CORP, "OIDC_CORP_ALGORITHMS": "none"}),
        ("OIDC_CORP_ALGORITHMS", {**CORP, "OIDC_CORP_ALGORITHMS": "HS256", "OIDC_CORP_CLIENT_SECRET": "short"}),
        ("OIDC_GUEST_ISSUER", {"OIDC_GUEST_ISSUER": "https://issuer.test", "OIDC_GUEST_CLIENT_IDS": "app"}),
        ("OIDC_GOOGLE_ISSUER", {"OIDC_GOOGLE_ISSUER": "https://issuer.test", "OIDC_GOOGLE_CLIENT_IDS": "app"}),
        ("LOGIN_REDIRECT_URIS", {"LOGIN_REDIRECT_URIS": "http://app.test/back"}),
        ("LOGIN_REDIRECT_URIS", {"LOGIN_REDIRECT_URIS": "https://app.test/#back"}),
        ("LOGIN_REDIRECT_URIS", {"LOGIN_REDIRECT_URIS": "/back"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "-1"}),
        ("TRUSTED_PROXIES", {"TRUSTED_PROXIES": "1"}),
        ("GUESTS_PER_NETWORK", {"GUESTS_PER_NETWORK": "0"}),
        ("PROXY_SECRET", {"TRUSTED_PROXIES": "1", "PROXY_SECRET": "short"}),
        ("PROXY_SECRET", {"PROXY_SECRET": "s" * 32}),
        ("PROXY_NETWORKS", {"PROXY_NETWORKS": "10.0.0.1/8"}),
    ],
)
def test_it_does_not_start(name: str, changed: dict[str, str]) -> None:
    with pytest.raises(NotStartedError, match="ImproperlyConfigured") as stop:
        read(**changed)
    assert name in str(stop.value)


def test_it_starts() -> None:
    found = read(**CORP, **APPLE, LOGIN_REDIRECT_URIS="com.example.app:/back,https://app.test/back")
    assert (found.CLIENT_IDS["corp"], found.OIDC_ALGORITHMS) == (["app"], {"corp": ["RS256", "ES256"]})
    assert found.APPLE_PRIVATE_KEY.count("\n") == 1
    local = {**CORP, "LOCAL": "true", "OIDC_CORP_ISSUER": "http://127.0.0.1:9000"}
    assert read(**local).OIDC_ISSUERS == {"corp": "http://127.0.0.1:9000"}
