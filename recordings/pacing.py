"""How much slow work one account gets within an hour. Decoding takes processors for minutes, and everybody waits for
the same ones: more of it is refused, or done in a later hour.
"""

import math
import time

from django.conf import settings

from recordings.keys import UserId
from recordings.models import Allowance

HOUR = 3600
MOST = {
    "decoding": 4 * 3600,  # seconds of processor time that files may take: 24 of the longest, 480 of the shortest
    "excerpt": 30,  # parts to be cut out
}


def afford(kind: str, user_id: UserId, amount: int = 1) -> int:
    """Count `amount` more for the account. Returns 0, or where that is too much the seconds until the next hour."""
    if not settings.THROTTLE:
        return 0
    moment = time.time()
    hour = int(moment // HOUR)
    if Allowance.take(kind, user_id, hour, amount) <= MOST[kind]:
        return 0
    return max(1, math.ceil((hour + 1) * HOUR - moment))
