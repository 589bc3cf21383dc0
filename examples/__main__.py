"""python -m examples login | backup FOLDER | mirror FOLDER"""

import argparse
import os
import sys
import time
from pathlib import Path

import httpx

from examples.backup import backup
from examples.client import ApiError, Recorder
from examples.mirror import MirrorError, mirror


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples", description="A client of Recorder's API.")
    parser.add_argument("--url", default=os.environ.get("RECORDER_URL", "http://127.0.0.1:8000"))
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("login", help="begin a guest's account and print its key")
    uploading = commands.add_parser("backup", help="upload what the account does not have yet")
    uploading.add_argument("folder", type=Path)
    uploading.add_argument("--wait", type=float, metavar="SECONDS", default=10, help="for what is not verified yet")
    mirroring = commands.add_parser("mirror", help="make a folder equal to the account")
    mirroring.add_argument("folder", type=Path)
    mirroring.add_argument("--every", type=float, metavar="SECONDS", help="go on doing so")
    options = parser.parse_args()
    recorder = Recorder(options.url, os.environ.get("RECORDER_KEY", ""))
    if options.command != "login" and not recorder.auth_key:
        parser.error("RECORDER_KEY is not set: export RECORDER_KEY=$(python -m examples login)")
    try:
        if options.command == "login":
            recorder.log_in_as_guest("examples")
            print(recorder.auth_key)
            return 0
        if options.command == "backup":
            return show_backup(recorder, options.folder, options.wait)
        while True:
            counts = mirror(recorder, options.folder)
            print(", ".join(f"{count} {what}" for what, count in counts.items()), flush=True)
            if not options.every:
                return 0
            time.sleep(options.every)
    except (ApiError, MirrorError, httpx.TransportError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def show_backup(recorder: Recorder, folder: Path, wait: float) -> int:
    files = backup(recorder, folder, wait=wait)
    for file in files:
        print(f"{file.name}: {file.state}")
    faults = sum(bool(file.fault) for file in files)
    print(f"{len(files)} files, {sum(file.safe for file in files)} safe to delete, {faults} not uploaded")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
