"""A process as those are that handle events: it has every file of a folder listened to, with all the tries that
analyse.py gives, and says what came of each and what it took. `python -m tests.recordings.listener FOLDER`
"""

import json
import os
import resource
import sys
from io import BytesIO
from pathlib import Path

import django

import tests.environment  # noqa: F401 - before the settings
from recordings.keys import RecordingId, UserId

os.environ["DJANGO_SETTINGS_MODULE"] = "recorder_project.settings"
ROOM = 2**30  # bytes, as on Lambda: of address space, which is more than memory


class Held(BytesIO):
    """A file that Reader would get from the store."""

    @property
    def size(self) -> int:
        return len(self.getbuffer())


def main(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    django.setup()
    from aws import object_reader, s3
    from operations.lambda_handler import handler  # noqa: F401 - what such a process has loaded
    from recordings.analysis.analyse import TRIES, listen
    from recordings.analysis.decoding import SECONDS
    from recordings.models import Recording

    s3.client()
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        object_reader.open_object = lambda key, content=content: Held(content)  # type: ignore[assignment, misc]
        row, before = Recording(RecordingId(path.name), UserId("0" * 32), attempt="0" * 32), spent()
        said: dict[str, object] = {"name": path.name}
        for tries in range(TRIES + 1):
            try:
                facts = listen(row, tries, SECONDS)
            except Exception as error:  # noqa: BLE001 - what `hear` counts as a try
                said.setdefault("faults", []).append(f"{type(error).__name__} {error}")  # type: ignore[attr-defined]
                continue
            said |= {"playable": facts and facts.playable, "tries": tries + 1}
            break
        print(json.dumps({**said, "cpu": round(spent() - before, 3)}), flush=True)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"parent": memory("VmHWM"), "child": largest * 1024}))


def spent() -> float:
    """Processor time of all children that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(name: str) -> int:
    """Bytes, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
