"""Settings. The only reader of the environment: every variable is named here and in README.md."""

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from lib.origin import is_secure

VERSION = "2.0.0-dev"  # semver.org; without -dev when CHANGELOG.md has its section: CONTRIBUTING.md


def env(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def envbool(name: str, default: bool) -> bool:
    value = env(name, str(default)).lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def envint(name: str, default: int, least: int = 1) -> int:
    value = env(name, str(default))
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ImproperlyConfigured(f"{name} must be a whole number above {least - 1}, not {value!r}.")
    return int(value)


def envlist(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


def required(name: str, local: str) -> str:
    """The variable's value. Only LOCAL has a default to fall back on."""
    if value := env(name, local if LOCAL else ""):
        return value
    raise ImproperlyConfigured(f"{name} is not set; it has a default only with LOCAL=true.")


BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL = envbool("LOCAL", False)
DEBUG = LOCAL

SECRET_KEY = required("SECRET_KEY", "local-development-only-" + "0" * 32)
SECRET_KEY_FALLBACKS = envlist("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = envlist("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1],testserver" if LOCAL else "")
PUBLIC_URL = required("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
CORS_ALLOWED_ORIGINS = [origin.rstrip("/") for origin in envlist("CORS_ORIGINS")]
TRUSTED_PROXIES = envint("TRUSTED_PROXIES", 0, least=0)
PROXY_SECRETS = envlist("PROXY_SECRET")  # more than one while it is being changed
TRUST_ANY_PROXY = envbool("TRUST_ANY_PROXY", False)  # goes with version 3
try:
    PROXY_NETWORKS = [ipaddress.ip_network(network) for network in envlist("PROXY_NETWORKS")]
except ValueError as error:
    raise ImproperlyConfigured(f"PROXY_NETWORKS: {error}.") from None

# AWS. Without an endpoint of one's own, LOCAL means the embedded AWS that local/aws.py runs.
EMBEDDED_AWS = f"http://127.0.0.1:{envint('EMBEDDED_AWS_PORT', 4566)}"
LOCAL_DIR = Path(env("LOCAL_DIR", str(BASE_DIR / ".local")))
AWS_REGION = env("AWS_REGION", env("AWS_DEFAULT_REGION", "us-east-1" if LOCAL else ""))
AWS_ENDPOINT_URL = env("AWS_ENDPOINT_URL", EMBEDDED_AWS if LOCAL else "")
DYNAMODB_ENDPOINT_URL = env("AWS_ENDPOINT_URL_DYNAMODB", AWS_ENDPOINT_URL) or None
S3_ENDPOINT_URL = env("AWS_ENDPOINT_URL_S3", AWS_ENDPOINT_URL) or None
S3_PUBLIC_ENDPOINT_URL = env("S3_PUBLIC_ENDPOINT_URL") or S3_ENDPOINT_URL
if LOCAL and EMBEDDED_AWS in (DYNAMODB_ENDPOINT_URL, S3_ENDPOINT_URL):
    # The embedded AWS has one account, and botocore looks for its credentials here.
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "test"  # noqa: S105

USERS_TABLE = required("USERS_TABLE", "recorder-users")
RECORDINGS_TABLE = required("RECORDINGS_TABLE", "recorder-recordings")
CHANGES_TABLE = required("CHANGES_TABLE", "recorder-changes")
RECORDINGS_BUCKET = required("RECORDINGS_BUCKET", "recorder-files")
DECODE_FUNCTION = env("DECODE_FUNCTION")  # a Lambda function that decodes; without one, whoever handles events does
DECODE_ANSWERS = env("DECODE_ANSWERS")  # the ARN of the queue that its answers come through
CLOSING_ROLE = env("CLOSING_ROLE")  # who alone may erase old versions, if not everybody: closings are left to it

# Policy. Sizes are bytes.
GUEST_LOGIN = envbool("GUEST_LOGIN", LOCAL)
REQUIRE_RECENT_LOGIN = envbool("REQUIRE_RECENT_LOGIN", True)  # for purging and long links; goes with version 3
THROTTLE = envbool("THROTTLE", not LOCAL)
# New guests an hour: a school, or what a carrier puts behind one address, is many people.
GUESTS_PER_ADDRESS = envint("GUESTS_PER_ADDRESS", 150)
GUESTS_PER_NETWORK = envint("GUESTS_PER_NETWORK", 500)
GUESTS_PER_HOUR = envint("GUESTS_PER_HOUR", 2000)
QUOTA_BYTES = envint("QUOTA_BYTES", 5 * 2**30)
GUEST_QUOTA_BYTES = envint("GUEST_QUOTA_BYTES", 200 * 2**20)
MAX_RECORDING_BYTES = envint("MAX_RECORDING_BYTES", 5 * 2**30)
TRASH_DAYS = envint("TRASH_DAYS", 30)
UPLOAD_DAYS = envint("UPLOAD_DAYS", 7)
# Of a role whose credentials stand in the environment with no word of when they end, as on Lambda. AWS promises none
# (https://repost.aws/knowledge-center/presigned-url-s3-bucket-expiration); an hour is what a role's session has unless
# somebody asks for another length.
CREDENTIALS_SECONDS = envint("CREDENTIALS_SECONDS", 3600)
METRICS_NAMESPACE = env("METRICS_NAMESPACE")  # where CloudWatch puts what log lines say in numbers

for origin in CORS_ALLOWED_ORIGINS:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#*@\s]+", origin):
        raise ImproperlyConfigured(f"CORS_ORIGINS: {origin!r} is no origin, such as https://app.example.org.")
if TRUSTED_PROXIES and not (PROXY_SECRETS or PROXY_NETWORKS or TRUST_ANY_PROXY):
    raise ImproperlyConfigured(
        "TRUSTED_PROXIES: whoever calls without your proxies could write any address. Let them add a PROXY_SECRET, or"
        " name their PROXY_NETWORKS; TRUST_ANY_PROXY=true does without, until version 3."
    )
if PROXY_SECRETS and not TRUSTED_PROXIES:
    raise ImproperlyConfigured("PROXY_SECRET does nothing without TRUSTED_PROXIES, the number of proxies it is for.")
if any(len(secret) < 32 for secret in PROXY_SECRETS):
    raise ImproperlyConfigured("PROXY_SECRET is shorter than 32 characters and could be guessed.")
if MAX_RECORDING_BYTES > 5 * 2**40:
    raise ImproperlyConfigured("MAX_RECORDING_BYTES is above 5 TiB, more than one object of S3 can hold.")
if bool(DECODE_FUNCTION) != bool(DECODE_ANSWERS):
    raise ImproperlyConfigured("DECODE_FUNCTION and DECODE_ANSWERS work only together.")
if not LOCAL:
    if len(SECRET_KEY) < 32:
        raise ImproperlyConfigured("SECRET_KEY is shorter than 32 characters and could be guessed.")
    if any(len(key) < 32 for key in SECRET_KEY_FALLBACKS):
        raise ImproperlyConfigured("SECRET_KEY_FALLBACKS holds a key shorter than 32 characters, which still signs.")
    if not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
        raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts served; empty or * lets callers forge links.")
    if not PUBLIC_URL.startswith("https://"):
        raise ImproperlyConfigured("PUBLIC_URL must begin with https://: keys would travel in the clear.")
    if not env("S3_PUBLIC_ENDPOINT_URL", PUBLIC_URL).startswith("https://"):
        raise ImproperlyConfigured("S3_PUBLIC_ENDPOINT_URL must begin with https://: recordings travel there.")
    if not AWS_REGION:
        raise ImproperlyConfigured("AWS_REGION is not set; presigned URLs must name the bucket's region.")
elif env("AWS_LAMBDA_FUNCTION_NAME"):
    raise ImproperlyConfigured("LOCAL is true on AWS Lambda: that would open debug pages and guest login to everyone.")

# Login providers; accounts/providers/table.py says what each of them is. One without client ids is off.
LOGIN_PROVIDERS = ("google", "apple", "kakao", "naver", "line", "facebook", "microsoft", "github")
CLIENT_IDS = {name: envlist(f"{name.upper()}_CLIENT_IDS") for name in LOGIN_PROVIDERS}  # the first is the web's
CLIENT_SECRETS = {name: env(f"{name.upper()}_CLIENT_SECRET") for name in LOGIN_PROVIDERS}
GOOGLE_HIDDEN_NONCE_CLIENT_IDS = envlist("GOOGLE_HIDDEN_NONCE_CLIENT_IDS")
APPLE_TEAM_ID, APPLE_KEY_ID = env("APPLE_TEAM_ID"), env("APPLE_KEY_ID")
APPLE_PRIVATE_KEY = env("APPLE_PRIVATE_KEY").replace("\\n", "\n")
KAKAO_APP_ID, KAKAO_ADMIN_KEY = env("KAKAO_APP_ID"), env("KAKAO_ADMIN_KEY")
MICROSOFT_TENANTS = envlist("MICROSOFT_TENANTS")
LOGIN_REDIRECT_URIS = envlist("LOGIN_REDIRECT_URIS")

# Any other OpenID provider, by its name in lower case: OIDC_<NAME>_ISSUER and what goes with it.
OIDC_ISSUERS: dict[str, str] = {}
OIDC_ALGORITHMS: dict[str, list[str]] = {}
SIGNATURES = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"}
for variable in sorted(os.environ):
    if (match := re.fullmatch(r"OIDC_([A-Z0-9_]+)_ISSUER", variable)) and env(variable):
        name = match[1].lower()
        if name in (*LOGIN_PROVIDERS, "guest"):
            raise ImproperlyConfigured(f"{variable}: {name} is taken by a provider that Recorder knows already.")
        OIDC_ISSUERS[name] = env(variable)
        OIDC_ALGORITHMS[name] = envlist(f"OIDC_{match[1]}_ALGORITHMS", "RS256,ES256")
        CLIENT_IDS[name] = envlist(f"OIDC_{match[1]}_CLIENT_IDS")
        CLIENT_SECRETS[name] = env(f"OIDC_{match[1]}_CLIENT_SECRET")
        if not CLIENT_IDS[name]:
            raise ImproperlyConfigured(f"{variable} is set without OIDC_{match[1]}_CLIENT_IDS: any app's login fits.")
        if unknown := set(OIDC_ALGORITHMS[name]) - SIGNATURES:
            raise ImproperlyConfigured(f"OIDC_{match[1]}_ALGORITHMS: {', '.join(unknown)} is not a signature.")
        if "HS256" in OIDC_ALGORITHMS[name] and len(CLIENT_SECRETS[name]) < 32:
            raise ImproperlyConfigured(f"OIDC_{match[1]}_ALGORITHMS: HS256 needs a CLIENT_SECRET of 32 characters.")

for name, issuer in OIDC_ISSUERS.items():
    if not is_secure(issuer, local=LOCAL) or "?" in issuer or "#" in issuer:
        raise ImproperlyConfigured(f"OIDC_{name.upper()}_ISSUER must be an https:// address: {issuer!r} is not.")
for name, secret in CLIENT_SECRETS.items():
    if secret and not CLIENT_IDS[name]:
        raise ImproperlyConfigured(f"{name.upper()}_CLIENT_SECRET is set without {name.upper()}_CLIENT_IDS.")
if CLIENT_IDS["github"] and not CLIENT_SECRETS["github"]:
    raise ImproperlyConfigured("GITHUB_CLIENT_SECRET is not set; nothing that GitHub gives can be checked without.")
if len({bool(APPLE_TEAM_ID), bool(APPLE_KEY_ID), bool(APPLE_PRIVATE_KEY)}) > 1:
    raise ImproperlyConfigured("APPLE_TEAM_ID, APPLE_KEY_ID and APPLE_PRIVATE_KEY work only together.")
if APPLE_PRIVATE_KEY and "-----BEGIN PRIVATE KEY-----" not in APPLE_PRIVATE_KEY:
    raise ImproperlyConfigured("APPLE_PRIVATE_KEY must be the text of Apple's .p8 file.")
if KAKAO_ADMIN_KEY and not KAKAO_APP_ID:
    raise ImproperlyConfigured("KAKAO_ADMIN_KEY is set without KAKAO_APP_ID: the webhook of any app would count.")
for uri in LOGIN_REDIRECT_URIS:
    if "#" in uri or not urlsplit(uri).scheme or (urlsplit(uri).scheme == "http" and not is_secure(uri, local=LOCAL)):
        raise ImproperlyConfigured(f"LOGIN_REDIRECT_URIS: {uri!r} is neither https:// nor an app's own scheme.")

# Django, without a SQL database and without django.contrib.auth.
DATABASES: dict[str, object] = {}
INSTALLED_APPS = ["rest_framework", "drf_spectacular", "drf_spectacular_sidecar", "corsheaders"]
INSTALLED_APPS += ["accounts", "recordings", "operations", "web"]
MIDDLEWARE = [
    "lib.logs.RequestLog",
    "lib.deadline.Deadline",
    "lib.headers.Headers",
    "lib.problems.ProblemMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "recorder_project.urls"
WSGI_APPLICATION = "recorder_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "web" / "templates"],  # before rest_framework's, whose api.html we replace
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
APPEND_SLASH = False
# No form here takes a file; the handler that is left out writes large ones to the disk, whoever sends them.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]  # of pages: web/words.py
LOCALE_PATHS = [BASE_DIR / "web" / "locale"]
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = LOCAL

# Security. Cookies and redirects are strict wherever the server is reached over https.
CSRF_COOKIE_SECURE = not LOCAL
CSRF_COOKIE_HTTPONLY = False  # the browsable API's own JavaScript reads it
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_PROXY_SSL_HEADER = None if LOCAL else ("HTTP_X_FORWARDED_PROTO", "https")
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]  # of shares
SECURE_HSTS_SECONDS = 0 if LOCAL else 365 * 24 * 3600
AWS_DOMAIN = "amazonaws.com.cn" if AWS_REGION.startswith("cn-") else "amazonaws.com"
S3_ORIGIN = S3_PUBLIC_ENDPOINT_URL or f"https://{RECORDINGS_BUCKET}.s3.{AWS_REGION}.{AWS_DOMAIN}"  # of presigned URLs
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CORS_ALLOW_CREDENTIALS = False  # apps on other origins send their key in Authorization
CORS_URLS_REGEX = r"^/(api|uppy)/"
CORS_EXPOSE_HEADERS = ["ETag", "Retry-After", "WWW-Authenticate", "X-Request-Id"]
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "if-match", "if-none-match"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.AuthKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["lib.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "lib.negotiation.Negotiation",
    "EXCEPTION_HANDLER": "lib.problems.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "rest_framework.schemas.inspectors.ViewInspector",  # until openapi.py needs another
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,  # ?format= would be an unknown parameter like any other
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Recorder",
    "VERSION": VERSION,
    "DESCRIPTION": "Keeps voice recordings safe, lists them, gives them back and lets them go.",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "RecordingStatusEnum": ["uploading", "ready", "mismatch"],
        "ShareStatusEnum": ["ready", "preparing", "failed"],
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "DEFAULT_GENERATOR_CLASS": "lib.openapi.Generator",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(levelname)s %(name)s %(message)s"},
        "json": {"()": "lib.logs.JsonLine"},
    },
    "filters": {
        "no_path": {"()": "lib.logs.NoPath"},
        "no_query": {"()": "lib.logs.NoQuery"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line" if LOCAL else "json",
            "filters": ["no_path", "no_query"],
        }
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "botocore": {"level": "WARNING"},
        "boto3": {"level": "WARNING"},
        "s3transfer": {"level": "WARNING"},
        "pynamodb": {"level": "WARNING"},  # its DEBUG lines hold whole rows
        "urllib3": {"level": "WARNING"},  # its DEBUG lines hold tokens in addresses
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"filters": ["no_query"], "level": "INFO" if LOCAL else "ERROR", "propagate": True},
        "django.security": {"level": "CRITICAL"},  # what strangers send is no error of ours; RequestLog has the answer
        "django.server": {"filters": ["no_query"], "level": "INFO", "propagate": True},
        "lib.logs": {"level": "CRITICAL" if LOCAL else "INFO"},  # runserver has lines of its own
    },
}
