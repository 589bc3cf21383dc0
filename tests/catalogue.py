"""Make the catalogues that gettext reads (.mo) of those that people write (.po): `python -m tests.catalogue`.

Both are checked in, so that nobody else needs this, nor GNU gettext, whose `msgfmt` and poedit do the same.
https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html
"""

import re
import struct
from ast import literal_eval
from pathlib import Path

LOCALE = Path(__file__).resolve().parents[1] / "web" / "locale"
LINE = re.compile(r'(?:(msgctxt|msgid|msgstr) )?(".*")')


def messages(source: str) -> dict[str, str]:
    """What a .po file translates; "" is its header. Raises ValueError for a line that no such file has, for what comes
    twice, and for plurals and obsolete lines, which nothing here has.
    """
    found: dict[str, str] = {}
    for entry in re.split(r"\n{2,}", source.strip()):
        parts = {"msgctxt": "", "msgid": "", "msgstr": ""}
        name = ""
        for line in entry.splitlines():
            if line.startswith("# "):
                continue
            match = LINE.fullmatch(line)
            if match is None:
                raise ValueError(line)
            name = match[1] or name
            parts[name] += literal_eval(match[2])
        id = f"{parts['msgctxt']}\4{parts['msgid']}" if parts["msgctxt"] else parts["msgid"]
        if id in found:
            raise ValueError(id)
        found[id] = parts["msgstr"]
    return found


def compiled(found: dict[str, str]) -> bytes:
    """The .mo file: a header, a table of the texts' lengths and places, one of the translations', and both."""
    texts = sorted((id.encode(), text.encode()) for id, text in found.items())
    start, tables, content = 28 + 16 * len(texts), [], b""
    for column in (0, 1):
        for pair in texts:
            tables += [len(pair[column]), start + len(content)]
            content += pair[column] + b"\0"
    header = (0x950412DE, 0, len(texts), 28, 28 + 8 * len(texts), 0, 28 + 16 * len(texts))
    return struct.pack(f"<{7 + len(tables)}I", *header, *tables) + content


if __name__ == "__main__":
    for path in LOCALE.rglob("*.po"):
        path.with_suffix(".mo").write_bytes(compiled(messages(path.read_text())))
