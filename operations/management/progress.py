"""How far a command is: one line on a terminal, written over as it goes, and nothing where no person looks."""

import time
from collections import Counter

from django.core.management.base import OutputWrapper


class Progress:
    def __init__(self, stream: OutputWrapper) -> None:
        self.stream = stream
        self.counts: Counter[str] = Counter()
        self.next = 0.0 if stream.isatty() else float("inf")

    def __call__(self, what: str, number: int = 1) -> None:
        self.counts[what] += number
        if time.monotonic() > self.next:
            self.next = time.monotonic() + 0.2
            self.write(" · ".join(f"{count:,} {what}" for what, count in self.counts.items()))

    def clear(self) -> None:
        """Make room for a line of output, or for the end."""
        if self.next != float("inf"):
            self.next = 0.0
            self.write("")

    def write(self, text: str) -> None:
        self.stream.write(f"\r\x1b[K{text}", str, ending="")
        self.stream.flush()
