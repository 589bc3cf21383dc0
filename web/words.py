"""What the pages of shares say, in English and Korean, and how they write times."""

import datetime

from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

WORDS = {
    "en": {
        "title": "A shared recording",
        "length": "Length",
        "recorded": "Recorded",
        "until": "This link works until",
        "download": "Download",
        "part": "Part of a recording",
        "no_player": "This browser can't play it. Download it to listen.",
        "preparing": "This part is being cut out just now. The page looks again every few seconds.",
        "failed": "This part could not be cut out of the recording. Ask for another link.",
        "unplayable": "No sound was found in this file. It can be downloaded all the same.",
        "password": "Password",
        "locked": "Whoever shared this recording has protected it with a password.",
        "wrong": "That is not the password.",
        "open": "Open",
        "gone": "Nothing is shared here",
        "gone_text": "The link may have expired or been revoked. Ask whoever sent it for a new one.",
        "many": "Too many requests",
        "many_text": "Wait {0} seconds, then try again.",
        "away": "Not available just now",
        "away_text": "Try again in a moment.",
    },
    "ko": {
        "title": "공유된 녹음",
        "length": "길이",
        "recorded": "녹음한 때",
        "until": "이 링크의 유효 기간",
        "download": "다운로드",
        "part": "녹음의 일부",
        "no_player": "이 브라우저에서는 재생할 수 없습니다. 다운로드해서 들어 주세요.",
        "preparing": "이 부분을 지금 잘라 내고 있습니다. 몇 초마다 다시 확인합니다.",
        "failed": "녹음에서 이 부분을 잘라 내지 못했습니다. 다른 링크를 요청해 주세요.",
        "unplayable": "이 파일에서 소리를 찾지 못했습니다. 다운로드는 할 수 있습니다.",
        "password": "비밀번호",
        "locked": "이 녹음은 공유한 사람이 비밀번호로 보호해 두었습니다.",
        "wrong": "비밀번호가 맞지 않습니다.",
        "open": "열기",
        "gone": "공유된 것이 없습니다",
        "gone_text": "링크가 만료되었거나 취소되었을 수 있습니다. 링크를 보낸 사람에게 새 링크를 요청해 주세요.",
        "many": "요청이 너무 많습니다",
        "many_text": "{0}초 뒤에 다시 시도해 주세요.",
        "away": "지금은 사용할 수 없습니다",
        "away_text": "잠시 후 다시 시도해 주세요.",
    },
}


def language(request: HttpRequest) -> str:
    """The one of ours that the browser likes best; English if it names neither."""
    for tag, _ in parse_accept_lang_header(request.headers.get("Accept-Language", "").lower()):
        if (name := tag.partition("-")[0]) in WORDS:
            return name
    return "en"


def written(moment: datetime.datetime, language: str) -> str:
    """A time for people: where they are, nobody knows, so it is UTC."""
    time = f"{moment:%H:%M} UTC"
    if language == "ko":
        return f"{moment.year}년 {moment.month}월 {moment.day}일 {time}"
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}, {time}"


MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def length(seconds: float) -> str:
    """1:02:03, or 2:03, as players show it."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
