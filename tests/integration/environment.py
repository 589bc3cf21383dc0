"""Environment of the integration tests, on top of tests/environment.py: a pytest plugin, so that it precedes settings.

It only names the peers' addresses; the fixture `peers` starts them there.
"""

import os
import secrets

from tests.integration import peers

os.environ |= peers.environ()
# LocalStack keeps a bucket's bytes in /tmp under the bucket's name alone: runs beside each other would mix them up.
os.environ["RECORDINGS_BUCKET"] = f"test-{secrets.token_hex(8)}"
