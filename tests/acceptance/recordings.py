"""Files that clients upload: good ones, broken ones, and ones that want something else than to be heard."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.support.sound import RATE, wav


def silence(seconds: float) -> bytes:
    return wav(bytes(2 * round(seconds * RATE)))


def lying(pcm: bytes, claimed: int = 0xFFFFFFF0) -> bytes:
    """A RIFF whose sizes claim far more than there is."""
    body = bytearray(wav(pcm))
    body[4:8] = struct.pack("<I", claimed)
    body[40:44] = struct.pack("<I", claimed)
    return bytes(body)


def playlists(target: Path) -> dict[str, bytes]:
    """Text formats that make a careless decoder open ``target``, a real recording on the server's disk."""
    return {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:20,\n{target}\n#EXT-X-ENDLIST\n".encode(),
        "m3u8 with file:": f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:20,\nfile://{target}\n#EXT-X-ENDLIST\n".encode(),
        "ffconcat": f"ffconcat version 1.0\nfile {target}\n".encode(),
        "ffconcat with concat:": f"ffconcat version 1.0\nfile concat:{target}\n".encode(),
        "dash": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT20S"><Period><AdaptationSet contentType="audio"><Representation id="1" '
            f'bandwidth="1"><BaseURL>file://{target}</BaseURL></Representation></AdaptationSet></Period></MPD>'
        ).encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }


NOT_AUDIO: dict[str, bytes] = {
    "text": b"this is not audio at all, only words in a row " * 40,
    "a picture": bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(200),
    "an archive": b"PK\x03\x04" + bytes(500),
    "zeros": bytes(4000),
    "a RIFF head and noise": b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(range(256)) * 8,
    "html": b"<!doctype html><script>alert(1)</script>" * 20,
    "shell": b"#!/bin/sh\nid > /tmp/owned\n",
}
"""What is refused with 400 and a sentence."""
