#!/bin/sh
# Makes the recordings beside this script: one clip of real speech, in the forms that phones and browsers send.
# Needs espeak-ng and ffmpeg. Run again, it gives the same bytes (with the same versions of both).
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

espeak-ng -v en-us -s 180 -w "$work/en.wav" "Keep this recording safe."
espeak-ng -v ko -s 180 -w "$work/ko.wav" "이 녹음을 지켜 주세요."

exact="-map_metadata -1 -fflags +bitexact -flags:a +bitexact"

encode() { # encode FILE OPTIONS…: the clip as FILE
    file=$1
    shift
    # shellcheck disable=SC2086  # $exact is several words
    ffmpeg -nostdin -v error -y -i "$work/speech.wav" -ac 1 "$@" $exact "$file"
}

# The two sentences, one after the other, at the rate that espeak-ng speaks (22,050 Hz).
ffmpeg -nostdin -v error -y -i "$work/en.wav" -i "$work/ko.wav" \
    -filter_complex "concat=n=2:v=0:a=1" -fflags +bitexact "$work/speech.wav"

# As a phone writes it: AAC, and without +faststart the moov box comes after the sound.
encode speech.m4a -ar 44100 -c:a aac -b:a 48k
encode speech.mp3 -ar 22050 -c:a libmp3lame -b:a 48k -write_xing 1
encode speech.ogg -ar 48000 -c:a libopus -b:a 24k -application voip
# As a browser's MediaRecorder writes it: live, so that the container states no duration.
encode speech.webm -ar 48000 -c:a libopus -b:a 24k -application voip -f webm -live 1
encode speech.wav -ar 8000 -c:a pcm_s16le
