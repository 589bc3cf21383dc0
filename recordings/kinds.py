"""Kinds of sound files: their types, the ends of their names, and the name under which a recording is saved."""

import re

# extension: (the type by which players know it, other types by which apps declare it)
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "m4a": ("audio/x-m4a", "audio/mp4", "audio/m4a", "audio/mp4a-latm"),
    "mp3": ("audio/mpeg", "audio/mp3", "audio/x-mp3", "audio/x-mpeg"),
    "aac": ("audio/aac", "audio/aacp", "audio/x-aac"),
    "ogg": ("audio/ogg", "application/ogg", "audio/vorbis"),
    "opus": ("audio/opus",),
    "webm": ("audio/webm",),
    "wav": ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    "flac": ("audio/flac", "audio/x-flac"),
    "amr": ("audio/amr", "audio/amr-wb"),
    "3gp": ("audio/3gpp", "audio/3gpp2"),
    "caf": ("audio/x-caf", "audio/caf"),
    "aiff": ("audio/aiff", "audio/x-aiff"),
    "mp4": ("video/mp4",),
}
BY_TYPE = {declared: extension for extension, types in EXTENSIONS.items() for declared in types} | {
    "video/webm": "webm"
}
OTHERS = {"3g2", "3gpp", "aif", "m4b", "mka", "mov", "mpga", "oga", "spx", "wave", "weba", "wma"}
ENDING = re.compile(r"\.([a-z0-9]{1,8})", re.ASCII | re.IGNORECASE)

# What makes a file's name look like another's, `gpj.exe` like `exe.jpg`: controls of direction (Unicode TR 36, 2.10),
# and ends of lines.
TURNING = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)])


def file_name(name: str, content_type: str) -> str:
    """The recording's name as that of one file: it leads to no folder, hides in none, reads as what it is, and has no
    ending by which something else than a player would open it.
    """
    plain = name.translate(TURNING | dict.fromkeys(map(ord, "/\\"), "_")).strip(". ") or "recording"
    ending = ENDING.fullmatch("." + plain.rpartition(".")[2]) if "." in plain else None
    if ending is None or ending[1].lower() in EXTENSIONS.keys() | OTHERS:
        return plain
    return f"{plain}.{BY_TYPE.get(content_type.partition(';')[0].strip().lower(), 'audio')}"
