import json
import re
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from operations.fsck.check import verify
from operations.fsck.differences import Difference, Scope
from operations.fsck.prices import AS_OF, S3_OUT, S3_READ
from operations.fsck.rows import rows_in
from operations.management.progress import Progress
from recordings.keys import UserId
from recordings.library import ID

PARTS = 16  # of each walk, with --resume


class Command(BaseCommand):
    help = (
        "Hold rows, objects, changes and ledgers against each other and print what differs, one line each. "
        "Exit status: 1 if anything does, also where it was mended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", metavar="ID", default="", help="look at this account only")
        parser.add_argument(
            "--segment", metavar="I/N", default="1/1", help="one of N parts, which can run side by side"
        )
        parser.add_argument("--resume", metavar="FILE", help="note there what is done, and leave it out the next time")
        parser.add_argument(
            "--deep", action="store_true", help="read every byte; without it, sizes and S3's checksums"
        )
        parser.add_argument("--repair", action="store_true", help="mend what can be; never deletes an only copy")
        parser.add_argument("--dry-run", action="store_true", help="with --repair: say what would be done, do nothing")
        parser.add_argument("--json", action="store_true", help="a JSON object for each line")

    def handle(self, *args: Any, **options: Any) -> None:
        scope = scope_of(options["account"], options["segment"])
        if options["dry_run"] and not options["repair"]:
            raise CommandError("--dry-run goes with --repair; without --repair nothing is written anyway.")
        if options["deep"]:
            self.stderr.write(announcement(scope))
        progress, found, mended = Progress(self.stderr), 0, 0
        chosen = {name: options[name] for name in ("deep", "repair", "dry_run")}
        with Done(options["resume"]) as done:
            parts = PARTS if options["resume"] and not scope.account else 1
            for difference in verify(scope, **chosen, parts=parts, done=done.names, mark=done.mark, tick=progress):
                progress.clear()
                self.stdout.write(line(difference, as_json=options["json"]))
                found, mended = found + 1, mended + difference.mended
        progress.clear()
        if not options["json"]:
            looked = ", ".join(f"{count} {what}" for what, count in progress.counts.items())
            self.stdout.write(f"{looked or 'nothing there'}: {found} differences, {mended} mended")
        if found:
            sys.exit(1)


def scope_of(account: str, segment: str) -> Scope:
    if account and not ID.fullmatch(account):
        raise CommandError("An account's id has 32 hexadecimal digits: the part of an auth_key before the dot.")
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", segment, re.ASCII)
    number, total = (int(each) for each in match.groups()) if match else (0, 0)
    if not 1 <= number <= total <= 1000:
        raise CommandError("--segment is I/N: the Ith of N parts, of 1,000 at most.")
    if account and total > 1:
        raise CommandError("--segment goes without --account: one account is not divided.")
    return Scope(UserId(account), number - 1, total)


def announcement(scope: Scope) -> str:
    """What --deep is about to read, and what that costs."""
    sizes = [row.stored_size for row in rows_in(scope) if row.status == "ready"]
    reads, size = 2 * len(sizes), sum(sizes)
    return (
        f"--deep reads {len(sizes):,} recordings, {size:,} bytes: {reads:,} requests to S3, {reads * S3_READ:.2f} $, "
        f"and {size * S3_OUT:.2f} $ more if they leave the region (prices of us-east-1, {AS_OF})."
    )


class Done:
    """The file of --resume: the name of a part that is over in each line. It goes when all of them are."""

    def __init__(self, path: str | None) -> None:
        self.path = Path(path) if path else None
        self.names = set(self.path.read_text().splitlines()) if self.path and self.path.exists() else set[str]()

    def __enter__(self) -> "Done":
        return self

    def mark(self, name: str) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(f"{name}\n")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.path and kind is None:
            self.path.unlink(missing_ok=True)


def line(difference: Difference, *, as_json: bool) -> str:
    if as_json:
        names = ("kind", "account", "recording", "key", "detail", "mended", "remedy")
        return json.dumps({name: getattr(difference, name) for name in names})
    where = difference.key or f"{difference.account}/{difference.recording}".rstrip("/")
    verdict = f" [{'mended: ' if difference.mended else ''}{difference.remedy}]" if difference.remedy else ""
    return f"{difference.kind} {where}: {difference.detail}{verdict}"
