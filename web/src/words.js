// Every word of the page, in English and Korean, and how times and sizes read.

const EN = {
  recordings: "Recordings", favorites: "Favourites", trash: "Trash", account: "Account",
  record: "Record", pause: "Pause", resume: "Resume", stop: "Stop and save", recording: "Recording", paused: "Paused",
  recorded: "Recording {0}", input: "Microphone", level: "Level", add: "Add files", drop: "Drop audio files to keep them",
  search: "Search recordings", all_tags: "All tags", more: "Show more",
  empty: "Nothing here yet", empty_hint: "Press the red button and talk. What you say is kept every two seconds, even if this tab closes.",
  none_found: "Nothing found", none_found_hint: "Names and notes were searched.",
  empty_trash: "The trash is empty", empty_favorites: "No favourites yet",
  choose: "Choose a recording to listen to it",
  play: "Play", speed: "Speed", skip_silence: "Skip silence", position: "Position", back: "Back to the list",
  name: "Name", tags: "Tags", add_tag: "Add a tag", remove_tag: "Remove the tag {0}", notes: "Notes", notes_hint: "Write what this is about",
  favorite: "Favourite", download: "Download", to_trash: "Move to trash", restore: "Restore", purge: "Delete for good",
  purge_question: "Delete “{0}” for good? This can't be undone.", cancel: "Cancel", yes_delete: "Delete",
  purge_all: "Empty the trash", purge_all_question: "Delete everything in the trash for good?",
  trashed: "Moved to the trash", restored: "Restored", purged: "Deleted for good", undo: "Undo",
  safe: "Safe to delete from this device", checking: "Being checked", mismatch: "The stored bytes are not those that were sent",
  unplayable: "No sound was found in this file. It is kept, and can be downloaded.", no_player: "This browser can't play this format. Download it to listen.",
  listening: "Drawing the waveform …",
  waiting: "Waiting for the network", sending: "Sending {0} %", failed: "Not sent: {0}", retry: "Try again", discard: "Discard",
  discard_question: "Discard “{0}”? It is nowhere else.",
  found: "A recording was interrupted", found_text: "“{0}” was not finished. What was said up to the last two seconds is here.", finish: "Keep it",
  sent: "“{0}” is safe", arrived: "“{0}” is sent, and being checked", deleted_early: "It was deleted before it could be checked",
  refused: "The microphone is blocked", refused_text: "Allow the microphone for this page: click the symbol beside the address, choose “Allow”, then press Record again. On a phone, look into the browser's site settings.",
  no_microphone: "No microphone was found. Connect one, then press Record again.",
  not_begun: "The recording could not begin",
  gone: "The microphone is gone", gone_text: "The recording has ended. What was said until then is kept. Connect the microphone, then press Record to go on in a new one.",
  unkept: "There is no room for the recording", unkept_text: "This browser can't store what is being said: it is only in this tab, so leave it open. Make some room on this device; it is tried again every two seconds, and when you stop.",
  signed_out: "You are no longer signed in here", signed_out_text: "The recording goes on. When you stop, it is kept in this browser, and sent when you sign in to its account again.",
  offline: "You are offline. You can record; it is sent when you are back.", unreachable: "The list can't be loaded just now.",
  not_audio: "“{0}” is not audio.",
  used: "{0} of {1} used", guest: "You are a guest: without a login, this account goes 30 days after its last use. Keep it by adding a login.",
  devices: "Devices", this_device: "This device", seen: "last seen {0}", sign_out_device: "Sign out", sign_out_others: "Sign out all others", sign_out: "Sign out",
  sign_out_takes: "Recordings that are in this browser alone: {0}.", sign_out_later: "They are sent when you sign in to this account here again.",
  sign_out_guest: "You are a guest: nobody, not even you, can come back to this account. Add a login first to keep it.",
  export: "Export everything", export_text: "One file with all that is stored about you, with links to download each recording.", export_done: "Exported",
  close: "Close the account", close_text: "Deletes every recording and everything about you, at once and for good.", close_question: "Delete your account and every recording for good?",
  language: "Language", api: "The API",
  markers: "Markers", mark: "Mark this moment", marker: "Marker {0}", marker_label: "Label of the marker at {0}", remove_marker: "Remove the marker at {0}", go_to: "Go to {0}",
  share: "Share", share_text: "Whoever has the link can listen, without an account.", close_dialog: "Close", optional: "(optional)",
  works_for: "Works for", for_day: "1 day", for_week: "7 days", for_month: "30 days", for_year: "1 year", password: "Password", choose_one: "Let Recorder choose one",
  begin_at: "Start playing at {0}", only_part: "Only a part", part_from: "From", part_to: "To", from_here: "From here", to_here: "To here",
  no_moment: "A time like 1:23", end_first: "The end comes after the beginning", make_link: "Make a link", link: "Link", links: "Links to this recording", no_links: "None yet",
  until: "Until {0}", part: "{0} to {1}", from: "from {0}", with_password: "with a password", preparing: "being cut …", cut_failed: "this part can't be cut",
  revoke: "Revoke", revoke_until: "Revoke the link until {0}", revoke_question: "Revoke this link? Whoever has it can't listen any more.",
  shown_once: "This address is shown only now. Copy it.", copy: "Copy", copied: "Copied", copy_by_hand: "The clipboard is out of reach. Copy what is selected.", send: "Send",
  feeds: "Podcast feeds", feeds_text: "Listen in your podcast app: it finds your recordings at a private address. Whoever has it can listen, so keep it to yourself.",
  feed_address: "Address of the feed", feed_only_tag: "Only this tag", feed_title: "Title", make_feed: "Make a feed", feed_all: "All recordings", feed_tag: "Tag “{0}”",
  delete_feed: "Delete the feed “{0}”", delete_feed_question: "Delete the feed “{0}”? Podcast apps find nothing there any more.",
  logins: "Logins", link_login: "Link another login", unlink: "Unlink", unlink_question: "Unlink {0}? It won't open this account any more.",
  shortcuts: "Space plays, ← and → move 5 seconds, [ and ] change the speed, M marks the moment.",
};

const KO = {
  recordings: "녹음", favorites: "즐겨찾기", trash: "휴지통", account: "계정",
  record: "녹음하기", pause: "일시정지", resume: "계속", stop: "멈추고 저장", recording: "녹음 중", paused: "일시정지됨",
  recorded: "녹음 {0}", input: "마이크", level: "음량", add: "파일 추가", drop: "오디오 파일을 여기에 놓으세요",
  search: "녹음 검색", all_tags: "모든 태그", more: "더 보기",
  empty: "아직 녹음이 없습니다", empty_hint: "빨간 버튼을 누르고 말하세요. 탭이 닫혀도 2초마다 저장됩니다.",
  none_found: "찾은 것이 없습니다", none_found_hint: "이름과 메모에서 찾았습니다.",
  empty_trash: "휴지통이 비어 있습니다", empty_favorites: "아직 즐겨찾기가 없습니다",
  choose: "들을 녹음을 고르세요",
  play: "재생", speed: "속도", skip_silence: "무음 건너뛰기", position: "재생 위치", back: "목록으로",
  name: "이름", tags: "태그", add_tag: "태그 추가", remove_tag: "태그 {0} 지우기", notes: "메모", notes_hint: "무엇에 대한 녹음인지 적어 두세요",
  favorite: "즐겨찾기", download: "내려받기", to_trash: "휴지통으로", restore: "되돌리기", purge: "완전히 삭제",
  purge_question: "“{0}”을(를) 완전히 삭제할까요? 되돌릴 수 없습니다.", cancel: "취소", yes_delete: "삭제",
  purge_all: "휴지통 비우기", purge_all_question: "휴지통에 있는 것을 모두 완전히 삭제할까요?",
  trashed: "휴지통으로 옮겼습니다", restored: "되돌렸습니다", purged: "완전히 삭제했습니다", undo: "실행 취소",
  safe: "이 기기에서 지워도 안전합니다", checking: "확인 중", mismatch: "저장된 내용이 보낸 것과 다릅니다",
  unplayable: "이 파일에서 소리를 찾지 못했습니다. 보관되어 있으며 내려받을 수 있습니다.", no_player: "이 브라우저는 이 형식을 재생하지 못합니다. 내려받아 들으세요.",
  listening: "파형을 그리는 중 …",
  waiting: "네트워크를 기다리는 중", sending: "보내는 중 {0} %", failed: "보내지 못함: {0}", retry: "다시 시도", discard: "버리기",
  discard_question: "“{0}”을(를) 버릴까요? 다른 곳에는 없습니다.",
  found: "녹음이 중단되었습니다", found_text: "“{0}” 녹음이 끝나지 않았습니다. 마지막 2초 전까지 남아 있습니다.", finish: "보관하기",
  sent: "“{0}” 안전하게 보관됨", arrived: "“{0}” 보냄, 확인하는 중", deleted_early: "확인하기 전에 삭제되었습니다",
  refused: "마이크가 차단되었습니다", refused_text: "이 페이지에 마이크를 허용하세요. 주소 옆의 기호를 눌러 “허용”을 고른 다음 다시 녹음을 누르세요. 휴대폰에서는 브라우저의 사이트 설정을 보세요.",
  no_microphone: "마이크가 없습니다. 연결한 다음 다시 녹음을 누르세요.",
  not_begun: "녹음을 시작하지 못했습니다",
  gone: "마이크 연결이 끊어졌습니다", gone_text: "녹음이 끝났고, 그때까지의 내용은 보관됩니다. 마이크를 연결한 다음 녹음을 눌러 새로 이어 가세요.",
  unkept: "녹음을 저장할 공간이 없습니다", unkept_text: "지금 내용은 이 탭에만 있으니 탭을 닫지 마세요. 기기에 공간을 마련하세요. 2초마다, 그리고 멈출 때 다시 저장해 봅니다.",
  signed_out: "이 브라우저에서 로그아웃되었습니다", signed_out_text: "녹음은 계속됩니다. 멈추면 이 브라우저에 보관하고, 이 계정에 다시 로그인하면 보냅니다.",
  offline: "오프라인입니다. 녹음할 수 있고, 연결되면 보냅니다.", unreachable: "지금은 목록을 불러올 수 없습니다.",
  not_audio: "“{0}”은(는) 오디오가 아닙니다.",
  used: "{1} 중 {0} 사용", guest: "손님 계정입니다. 로그인을 추가하지 않으면 마지막 사용 30일 뒤에 사라집니다.",
  devices: "기기", this_device: "이 기기", seen: "마지막 사용 {0}", sign_out_device: "로그아웃", sign_out_others: "다른 기기 모두 로그아웃", sign_out: "로그아웃",
  sign_out_takes: "이 브라우저에만 있는 녹음: {0}개.", sign_out_later: "이 계정으로 여기에 다시 로그인하면 보냅니다.",
  sign_out_guest: "손님 계정입니다. 로그아웃하면 아무도, 본인도 이 계정에 돌아올 수 없습니다. 지키려면 먼저 로그인을 추가하세요.",
  export: "모두 내보내기", export_text: "저장된 모든 것과 각 녹음의 내려받기 링크를 파일 하나로 받습니다.", export_done: "내보냈습니다",
  close: "계정 닫기", close_text: "모든 녹음과 모든 정보를 바로, 완전히 삭제합니다.", close_question: "계정과 모든 녹음을 완전히 삭제할까요?",
  language: "언어", api: "API",
  markers: "표시", mark: "이 순간 표시", marker: "표시 {0}", marker_label: "{0} 표시의 이름", remove_marker: "{0} 표시 지우기", go_to: "{0}(으)로 가기",
  share: "공유", share_text: "링크가 있으면 계정 없이도 들을 수 있습니다.", close_dialog: "닫기", optional: "(선택)",
  works_for: "유효 기간", for_day: "1일", for_week: "7일", for_month: "30일", for_year: "1년", password: "비밀번호", choose_one: "Recorder가 정하기",
  begin_at: "{0}부터 재생", only_part: "일부만", part_from: "시작", part_to: "끝", from_here: "여기부터", to_here: "여기까지",
  no_moment: "1:23처럼 적어 주세요", end_first: "끝은 시작보다 뒤여야 합니다", make_link: "링크 만들기", link: "링크", links: "이 녹음의 링크", no_links: "아직 없습니다",
  until: "{0}까지", part: "{0}–{1}", from: "{0}부터", with_password: "비밀번호 있음", preparing: "자르는 중 …", cut_failed: "이 부분을 자를 수 없습니다",
  revoke: "취소하기", revoke_until: "{0}까지인 링크 취소하기", revoke_question: "이 링크를 취소할까요? 더는 들을 수 없게 됩니다.",
  shown_once: "이 주소는 지금만 보입니다. 복사해 두세요.", copy: "복사", copied: "복사했습니다", copy_by_hand: "클립보드를 쓸 수 없습니다. 선택된 주소를 직접 복사하세요.", send: "보내기",
  feeds: "팟캐스트 피드", feeds_text: "팟캐스트 앱에서 들어 보세요. 나만의 주소에서 녹음을 찾습니다. 주소가 있으면 누구나 들을 수 있으니 남에게 알리지 마세요.",
  feed_address: "피드 주소", feed_only_tag: "이 태그만", feed_title: "제목", make_feed: "피드 만들기", feed_all: "모든 녹음", feed_tag: "태그 “{0}”",
  delete_feed: "“{0}” 피드 삭제", delete_feed_question: "“{0}” 피드를 삭제할까요? 팟캐스트 앱에서 더는 찾을 수 없습니다.",
  logins: "로그인", link_login: "다른 로그인 연결", unlink: "연결 끊기", unlink_question: "{0} 연결을 끊을까요? 더는 이 계정을 열 수 없습니다.",
  shortcuts: "스페이스: 재생, ← →: 5초 이동, [ ]: 속도, M: 표시.",
};

export const languages = { en: "English", ko: "한국어" };
const stored = localStorage.getItem("language");
export const language = stored in languages ? stored : navigator.language.startsWith("ko") ? "ko" : "en";
const words = language === "ko" ? KO : EN;

export const t = (key, ...values) => words[key].replace(/\{(\d)\}/g, (_, at) => values[at]);

export function choose(code) {
  localStorage.setItem("language", code);
  location.reload();
}

/** 65 → "1:05", 3665 → "1:01:05" */
export function clock(seconds) {
  const whole = Math.floor(seconds || 0);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  return h ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

/** The same with tenths of a second where there are any: 65.28 → "1:05.2" */
export function exact(seconds) {
  const tenths = Math.floor((seconds || 0) * 10 + 1e-6);
  return clock(tenths / 10) + (tenths % 10 ? `.${tenths % 10}` : "");
}

/** What people write for a time, as seconds: "1:05.2", "65.2", "1:01:05". null where it is none. */
export function seconds(text) {
  const found = /^(?:(?:(\d+):)?(\d{1,3}):)?(\d+(?:[.,]\d+)?)$/.exec(text.trim());
  if (!found) return null;
  const [h = "0", m = "0", s] = found.slice(1);
  return Math.round((Number(h) * 3600 + Number(m) * 60 + Number(s.replace(",", "."))) * 1000) / 1000;
}

const day = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
export const date = (moment) => day.format(new Date(moment));

export function bytes(count) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const at = Math.min(3, Math.floor(Math.log(Math.max(count, 1)) / Math.log(1024)));
  const value = count / 1024 ** at;
  const digits = at && value < 100 ? 1 : 0;
  return new Intl.NumberFormat(language, { style: "unit", unit: units[at], maximumFractionDigits: digits }).format(value);
}
