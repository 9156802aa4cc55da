"""What a client asks for when it opens ``/listen``: query parameters to a checked request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from django.conf import settings

from omi.core.one_line import is_one_line
from transcription.audio.codecs import Codec, UnknownCodec, codec

_MAX_VALUE = 200


class BadRequest(ValueError):
    """The socket is refused; the message says which parameter and why."""


@dataclass(frozen=True, slots=True)
class ListenRequest:
    """The checked query of ``/listen``; ``after`` is the number of the last event that the client has seen."""

    codec: Codec
    language: str
    watch: bool
    device_id: str | None
    preferred: str
    after: int | None
    updates: bool
    profile: bool


def parse(query: bytes, *, web: bool = False) -> ListenRequest:
    """Parse the query of ``/listen``; raises BadRequest. ``web``: the v4 path, whose clients replace segments by id and
    always want the memory."""
    try:
        raw = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=50)
    except (UnicodeDecodeError, ValueError) as error:
        raise BadRequest("the query is not readable") from error
    values = {name: found[-1][:_MAX_VALUE] for name, found in raw.items()}
    try:
        chosen = codec(values.get("codec", "pcm8"), _number(values, "sample_rate"))
    except UnknownCodec as error:
        raise BadRequest(str(error)) from error
    if _number(values, "channels") not in (None, 1):
        raise BadRequest("channels must be 1")
    service = values.get("stt_service", "")
    if service and service not in settings.LIVE_VENDORS:
        raise BadRequest(f"stt_service must be one of {', '.join(settings.LIVE_VENDORS)}")
    return ListenRequest(
        codec=chosen,
        language=language_tag(values.get("language", "en")),
        watch=_flag(values, "new_memory_watch", default=web),
        device_id=_device(values.get("device_id", "")),
        preferred=service,
        after=_number(values, "after"),
        updates=_flag(values, "updates", default=web),
        profile=_flag(values, "include_speech_profile", default=True),
    )


def _device(text: str) -> str | None:
    if not is_one_line(text):
        raise BadRequest("device_id must be printable")
    return text or None


def _number(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadRequest(f"{name} must be a whole number")
    return int(text)


def _flag(values: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = values.get(name, "").lower()
    if not text:
        return default
    if text not in ("true", "false", "1", "0"):
        raise BadRequest(f"{name} must be true or false")
    return text in ("true", "1")


def language_tag(text: str) -> str:
    """The language of a session: ``auto`` is ``multi``, anything that looks like a language tag is taken. Raises
    BadRequest."""
    language = text.strip() or "en"
    if language.lower() in ("auto", "multi"):
        return "multi"
    parts = language.replace("_", "-").split("-")
    if not (
        2 <= len(parts[0]) <= 3 and len(language) <= 20 and all(part.isalnum() and part.isascii() for part in parts)
    ):
        raise BadRequest("language must be a language code such as en, de or pt-BR")
    return "-".join(parts)
