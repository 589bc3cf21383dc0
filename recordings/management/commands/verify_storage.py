import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from recordings.differences import Difference
from recordings.management.progress import Progress
from recordings.services import ID
from recordings.verifying import verify


class Command(BaseCommand):
    help = (
        "Hold rows, objects, changes and ledgers against each other and print what differs, one line each. "
        "Exit status: 1 if anything does, also where it was mended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", metavar="ID", default="", help="look at this account only")
        parser.add_argument(
            "--deep", action="store_true", help="read every byte; without it, sizes and S3's checksums"
        )
        parser.add_argument("--repair", action="store_true", help="mend what can be; never deletes an only copy")
        parser.add_argument("--dry-run", action="store_true", help="with --repair: say what would be done, do nothing")
        parser.add_argument("--json", action="store_true", help="a JSON object for each line")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["account"] and not ID.fullmatch(options["account"]):
            raise CommandError("An account's id has 32 hexadecimal digits: the part of an auth_key before the dot.")
        if options["dry_run"] and not options["repair"]:
            raise CommandError("--dry-run goes with --repair; without --repair nothing is written anyway.")
        progress, found, mended = Progress(self.stderr), 0, 0
        chosen = {name: options[name] for name in ("account", "deep", "repair", "dry_run")}
        for difference in verify(**chosen, tick=progress):
            progress.clear()
            self.stdout.write(line(difference, as_json=options["json"]))
            found, mended = found + 1, mended + difference.mended
        progress.clear()
        if not options["json"]:
            looked = ", ".join(f"{count} {what}" for what, count in progress.counts.items())
            self.stdout.write(f"{looked or 'nothing there'}: {found} differences, {mended} mended")
        if found:
            sys.exit(1)


def line(difference: Difference, *, as_json: bool) -> str:
    if as_json:
        names = ("kind", "account", "recording", "key", "detail", "mended", "remedy")
        return json.dumps({name: getattr(difference, name) for name in names})
    where = difference.key or f"{difference.account}/{difference.recording}".rstrip("/")
    verdict = f" [{'mended: ' if difference.mended else ''}{difference.remedy}]" if difference.remedy else ""
    return f"{difference.kind} {where}: {difference.detail}{verdict}"
