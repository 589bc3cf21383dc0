"""Environment of the unit tests: a production configuration on moto. A plugin, so that it comes before settings.

What a test run inherits from its shell never decides what it talks to.
"""

import os

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "LOCAL": "false",
    "SECRET_KEY": "tests-only-" + "0" * 32,
    "ALLOWED_HOSTS": "recorder.test",
    "PUBLIC_URL": "https://recorder.test",
    "CORS_ORIGINS": "https://app.test",
    "GUEST_LOGIN": "true",
    "THROTTLE": "off",
    "AWS_REGION": "ap-northeast-2",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "USERS_TABLE": "test-users",
    "RECORDINGS_TABLE": "test-recordings",
    "CHANGES_TABLE": "test-changes",
    "RECORDINGS_BUCKET": "test-recordings-bucket",
}
