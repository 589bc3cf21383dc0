"""Kinds of sound files: their types, the ends of their names, and the name under which a recording is saved."""

import unicodedata

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
# Other ends of names that mean sound, by the extension of the types that they go with.
OTHERS: dict[str, tuple[str, ...]] = {
    "m4a": ("m4b", "mp4"),
    "mp3": ("mpga",),
    "aac": ("m4a",),
    "ogg": ("oga", "opus", "spx"),
    "opus": ("ogg", "oga"),
    "webm": ("weba", "mka"),
    "wav": ("wave",),
    "3gp": ("3gpp", "3g2", "m4a"),
    "aiff": ("aif",),
    "mp4": ("m4a", "m4b"),
}
INVISIBLE = {"Cf", "Cc", "Zl", "Zp"}  # what is not seen, and ends of lines
SOUND = frozenset(EXTENSIONS).union(*OTHERS.values(), ["wma"])
OPAQUE = "application/octet-stream"
UNKNOWN = "audio"  # the end of a name whose type says nothing: no program opens it
LONGEST = 240  # bytes of a name, since whatever cuts a longer one at 255 could make another end of it


def plain_type(content_type: str) -> str:
    """A content type without its parameters, as it is compared."""
    return content_type.partition(";")[0].strip().lower()


def served(content_type: str) -> str:
    """The type under which bytes of sound may be given out: their own where each player knows it for sound."""
    return content_type if plain_type(content_type) in BY_TYPE else OPAQUE


def file_name(name: str, content_type: str) -> str:
    """The recording's name as that of one file: it leads to no folder, hides in none, reads as what it is, and ends as
    sound files of its type do, so that nothing else than a player opens it.

    Format characters (Unicode's Cf) go: they are not seen, and turn what is beside them (Unicode TR 36, 2.10).
    """
    seen = "".join(each for each in name if unicodedata.category(each) not in INVISIBLE)
    stem = seen.translate(dict.fromkeys(map(ord, "/\\"), "_")).strip(". ")
    kind = BY_TYPE.get(plain_type(content_type))
    fitting = {kind, *OTHERS.get(kind, ())} if kind else SOUND
    before, dot, ending = stem.rpartition(".")
    if not dot or ending.lower() not in fitting:
        before, ending = stem, kind or UNKNOWN
    room = LONGEST - len(f".{ending}")
    return f"{before.encode()[:room].decode(errors='ignore') or 'recording'}.{ending}"
