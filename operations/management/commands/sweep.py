import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from operations.management.progress import Progress
from operations.sweep import sweep
from recordings.keys import RecordingId, UserId


class Command(BaseCommand):
    help = "Complete or abandon overdue uploads, empty old trash, finish purges and closings, on several threads."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, default=600, help="stop starting new work after this long")
        parser.add_argument("--dry-run", action="store_true", help="say what is due and do nothing")
        parser.add_argument("--json", action="store_true", help="a JSON object for each row that was due")

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress(self.stderr)

        def report(outcome: str, id: RecordingId, user_id: UserId) -> None:
            progress(outcome)
            if options["json"]:
                progress.clear()
                self.stdout.write(json.dumps({"outcome": outcome, "account": user_id, "recording": id}))

        outcomes = sweep(seconds=options["seconds"], dry_run=options["dry_run"], report=report)
        progress.clear()
        if not options["json"]:
            summary = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
            self.stdout.write(summary or "nothing due")
        if outcomes["failed"]:
            raise CommandError(f"{outcomes['failed']} rows failed; they stay due, and the log says why.")
