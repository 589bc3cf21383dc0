"""What the pages that the server writes say, in English and Korean, and how they write times."""

import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

from lib.problems import Problem

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
        "promise": "Your recordings: never lost, never altered, never seen by anybody else.",
        "signed_in": "You are signed in. Account",
        "library": "Your recordings",
        "trash": "The trash",
        "account": "Your account",
        "devices": "Your devices",
        "sign_out": "Sign out",
        "sign_in": "Sign in",
        "api": "The API",
        "link": "Link a login",
        "link_text": "Whoever signs in with it opens the account that is signed in here.",
        "link_this": "Link {0}",
        "link_too": "Link {0} to the account that is signed in",
        "back": "Back",
        "continue": "Continue with {0}",
        "guest": "Continue as a guest",
        "guest_text": "A new, empty account. It lives in this browser and goes after 30 days without use.",
        "key": "Key of a signed-in app",
        "with_key": "Sign in with the key",
        "leave": "This browser's guest account",
        "leave_text": "No login opens it, and its key is in this browser alone. Once another account is signed in "
        "here, nobody can reach its recordings any more. Link a login to it to keep them.",
        "leave_with": "Leave it behind and continue with {0}",
        "leave_key": "Leave it behind and sign in with the key",
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
        "promise": "녹음을 잃어버리지 않고, 바꾸지 않고, 다른 누구에게도 보여 주지 않습니다.",
        "signed_in": "로그인했습니다. 계정",
        "library": "내 녹음",
        "trash": "휴지통",
        "account": "내 계정",
        "devices": "내 기기",
        "sign_out": "로그아웃",
        "sign_in": "로그인",
        "api": "API",
        "link": "로그인 수단 연결",
        "link_text": "이 수단으로 로그인하는 사람은 지금 로그인한 이 계정을 열게 됩니다.",
        "link_this": "{0} 연결",
        "link_too": "지금 로그인한 계정에 {0} 연결",
        "back": "뒤로",
        "continue": "{0}(으)로 계속하기",
        "guest": "게스트로 계속하기",
        "guest_text": "비어 있는 새 계정입니다. 이 브라우저에만 남고, 30일 동안 쓰지 않으면 사라집니다.",
        "key": "로그인한 앱의 키",
        "with_key": "키로 로그인",
        "leave": "이 브라우저의 게스트 계정",
        "leave_text": "이 계정을 여는 로그인 수단이 없고, 키는 이 브라우저에만 있습니다. 여기에서 다른 계정으로 "
        "로그인하면 아무도 이 계정의 녹음을 다시 열 수 없습니다. 녹음을 지키려면 로그인 수단을 연결하세요.",
        "leave_with": "이 계정을 버리고 {0}(으)로 계속하기",
        "leave_key": "이 계정을 버리고 키로 로그인",
    },
}

# What a Problem says in English itself.
PROBLEMS = {
    "ko": {
        "invalid_key": "키가 올바르지 않거나 그 세션이 끝났습니다.",
        "login_failed": "그곳에서 로그인이 이루어지지 않았습니다. 다시 시도하거나 다른 방법으로 로그인해 주세요.",
        "unknown_login": "이 브라우저에서 시작하지 않았거나 너무 오래된 로그인입니다. 처음부터 다시 해 주세요.",
        "invalid_credential": "이 로그인은 받아들일 수 없습니다. 처음부터 다시 해 주세요.",
        "identity_in_use": "이 로그인은 다른 계정에 연결되어 있습니다. 바뀐 것은 없습니다.",
        "account_closed": "이 계정은 닫혔습니다.",
        "other_account": "이 브라우저는 이제 그 계정에 로그인되어 있지 않습니다. 연결된 것은 없습니다.",
        "not_found": "여기에는 아무것도 없습니다.",
        "too_many_requests": "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요.",
        "unavailable": "지금은 사용할 수 없습니다. 잃어버린 것은 없습니다. 잠시 후 다시 시도해 주세요.",
    }
}


def of(request: HttpRequest) -> dict[str, Any]:
    """What a template needs to speak the browser's language: `lang` and `words`."""
    lang = language(request)
    return {"lang": lang, "words": WORDS[lang]}


def problem(problem: Problem, lang: str) -> str:
    return PROBLEMS.get(lang, {}).get(problem.code, str(problem.detail))


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
