from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from recordings.sweeping import sweep


class Command(BaseCommand):
    help = "Complete or abandon overdue uploads, empty old trash, finish purges and closings. Runs hourly on Lambda."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, default=600, help="stop starting new work after this long")

    def handle(self, *args: Any, **options: Any) -> None:
        outcomes = sweep(seconds=options["seconds"])
        self.stdout.write(", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())) or "nothing due")
        if outcomes["failed"]:
            raise CommandError(f"{outcomes['failed']} rows failed; they stay due, and the log says why.")
