"""Environment of the integration tests, on top of tests/environment.py: a pytest plugin, so that it precedes settings.

It only names the peers' addresses; the fixture `peers` starts them there.
"""

import os

from tests.integration import peers

os.environ |= peers.environ()
