"""The OpenID provider of the tests, npm's oidc-provider: fetched into .local/oidc, started on a free port, and used as
apps and people do. Node 20 or newer and npm must be there.
"""

import base64
import hashlib
import json
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import requests

from tests.processes import free_port

HERE = Path(__file__).parent
HOME = HERE.parents[1] / ".local" / "oidc"
SECRET = "web-secret-" + "0" * 32
CLIENTS = [
    {
        "client_id": "web",
        "client_secret": SECRET,
        "redirect_uris": ["https://recorder.test/login/corp/callback/", "https://app.test/back"],
    },
    {
        "client_id": "phone",
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "redirect_uris": ["com.example.app:/back"],
    },
    {
        "client_id": "phone-es",
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "id_token_signed_response_alg": "ES256",
        "redirect_uris": ["com.example.app:/back"],
    },
    {
        "client_id": "old",
        "client_secret": SECRET,
        "id_token_signed_response_alg": "HS256",
        "redirect_uris": ["https://app.test/back"],
    },
    {
        "client_id": "somebody-elses",
        "client_secret": SECRET,
        "redirect_uris": ["https://app.test/back"],
    },
]
REDIRECTS = {client["client_id"]: client["redirect_uris"][-1] for client in CLIENTS}


@dataclass
class Provider:
    issuer: str
    process: "subprocess.Popen[str]"
    configuration: Path
    clients: list[dict[str, Any]] = field(default_factory=lambda: CLIENTS)

    def use_keys(self, jwks: dict[str, Any]) -> None:
        """Sign with the first key of each kind from now on, and show all of them."""
        self.write(jwks)
        self.process.send_signal(signal.SIGHUP)
        kids = {key["kid"] for key in jwks["keys"]}
        while {key["kid"] for key in requests.get(f"{self.issuer}/jwks", timeout=5).json()["keys"]} != kids:
            time.sleep(0.02)

    def write(self, jwks: dict[str, Any]) -> None:
        content = {"port": urlsplit(self.issuer).port, "jwks": jwks, "clients": self.clients}
        self.configuration.write_text(json.dumps(content))

    def keys_are(self, state: str) -> None:
        """`ok`, `hang` or `down`; begins to count anew."""
        requests.post(f"{self.issuer}/control", json={"keys": state}, timeout=5)

    @property
    def fetches(self) -> int:
        """How often its keys were asked for."""
        found: int = requests.get(f"{self.issuer}/control", timeout=5).json()["fetches"]
        return found

    def grant(self, url: str, person: str) -> str:
        """Sign `person` in on the provider's pages, as a browser does. Returns where it sends the browser back to."""
        browser = requests.Session()
        answer = browser.get(url, allow_redirects=False, timeout=5)
        for _ in range(10):
            if answer.is_redirect:
                target = urljoin(answer.url, answer.headers["Location"])
                if not target.startswith(self.issuer):
                    return target
                answer = browser.get(target, allow_redirects=False, timeout=5)
                continue
            assert answer.status_code == 200, answer.text
            form = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert form, answer.text
            assert prompt
            data = {"prompt": prompt[1], "login": person, "password": "any"}
            answer = browser.post(urljoin(answer.url, form[1]), data, allow_redirects=False, timeout=5)
        raise AssertionError("The provider does not let go of the browser.")

    def code(self, client_id: str, person: str = "alice", **query: str) -> dict[str, str]:
        """What an app has after its code flow: what it posts to us."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": REDIRECTS[client_id],
            "scope": "openid email profile",
            "state": "s",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **query,
        }
        back = self.grant(f"{self.issuer}/auth?{urlencode(asked)}", person)
        code = dict(parse_qsl(urlsplit(back).query))["code"]
        return {"code": code, "code_verifier": verifier, "redirect_uri": REDIRECTS[client_id]}

    def id_token(self, client_id: str, person: str = "alice", **query: str) -> str:
        """What the provider's SDK gives an app."""
        form = {"grant_type": "authorization_code", **self.code(client_id, person, **query)}
        secret = next(client for client in self.clients if client["client_id"] == client_id).get("client_secret")
        auth = (client_id, secret) if secret else None
        form |= {} if secret else {"client_id": client_id}
        answer = requests.post(f"{self.issuer}/token", form, auth=auth, timeout=5)
        token: str = answer.json()["id_token"]
        return token


@contextmanager
def running(jwks: dict[str, Any], clients: list[dict[str, Any]] = CLIENTS) -> Iterator[Provider]:
    """The provider, answering until the block ends."""
    install()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="recorder-oidc-") as scratch:
        configuration = Path(scratch) / "configuration.json"
        provider = Provider(f"http://127.0.0.1:{port}", None, configuration, clients)  # type: ignore[arg-type]
        provider.write(jwks)
        command = ["node", str(HOME / "provider.mjs"), str(configuration)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        ) as process:
            provider.process = process
            try:
                assert process.stdout
                line = process.stdout.readline()
                assert line.strip() == "ready", f"{command} did not start: {line!r}"
                yield provider
            finally:
                process.terminate()


def install() -> None:
    """Put the provider and what it needs into .local/oidc, exactly as the lock says, unless it is there."""
    names = ("package.json", "package-lock.json", "provider.mjs")
    current = [(HERE / name).read_bytes() for name in names]
    if (HOME / "ready").exists() and [(HOME / name).read_bytes() for name in names] == current:
        return
    HOME.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(HERE / name, HOME / name)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HOME, check=True, stdin=subprocess.DEVNULL, stdout=2)
    (HOME / "ready").touch()
