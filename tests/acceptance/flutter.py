"""What the Flutter app of September 2024 parses, strictly: it fails where the app crashes.

Dart's casts are exact: an int is no double, null is no list, a name too few throws. Types are therefore compared by
identity, never by "looks like a number".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.acceptance.wire import Json

_SPEAKER = re.compile(r"^[^_]+_\d+$")
_STATUSES = {"not_started", "in_progress", "completed", "canceled", "failed"}
_EVENTS = {
    "ping": (),
    "new_processing_memory_created": ("processing_memory_id",),
    "new_memory_creating": (),
    "new_memory_created": ("processing_memory_id", "memory_id", "message_ids", "memory", "messages"),
    "new_memory_create_failed": (),
    "memory_post_processing_success": ("memory_id",),
    "memory_post_processing_failed": ("memory_id",),
}


class Crash(AssertionError):
    """Here the app would have thrown."""


def a(kind: type, value: Any, where: str) -> Any:
    """A Dart cast: ``as double`` of an int throws, ``as int`` of a bool throws."""
    if type(value) is not kind:
        raise Crash(f"{where} is {value!r}, not a {kind.__name__}")
    return value


def maybe(kind: type, value: Any, where: str) -> Any:
    return None if value is None else a(kind, value, where)


def instant(value: Any, where: str) -> datetime:
    """``DateTime.parse``; a time without a zone would be read as local time (#790)."""
    text = a(str, value, where)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Crash(f"{where} is no instant: {text}") from error
    if found.tzinfo is None:
        raise Crash(f"{where} has no zone: {text}")
    return found


def every(parse: Callable[[Any, str], Any], value: Any, where: str) -> list[Any]:
    return [parse(item, f"{where}[{n}]") for n, item in enumerate(a(list, value, where))]


def segment(value: Any, where: str = "segment") -> None:
    found: Json = a(dict, value, where)
    a(str, found.get("text"), f"{where}.text")
    label = a(str, found.get("speaker"), f"{where}.speaker")
    if not _SPEAKER.match(label):
        raise Crash(f"{where}.speaker is {label!r}: the app reads the number after the underscore")
    int(label.split("_")[1])
    a(bool, found.get("is_user"), f"{where}.is_user")
    if "person_id" not in found:
        raise Crash(f"{where}.person_id is missing")
    maybe(str, found["person_id"], f"{where}.person_id")
    start, end = a(float, found.get("start"), f"{where}.start"), a(float, found.get("end"), f"{where}.end")
    if not 0 <= start < end:
        raise Crash(f"{where} runs from {start} to {end}")


def structured(value: Any, where: str) -> None:
    found: Json = a(dict, value, where)
    for name in ("title", "overview", "emoji", "category"):
        a(str, found.get(name), f"{where}.{name}")
    for n, item in enumerate(a(list, found.get("action_items"), f"{where}.action_items")):
        if not isinstance(item, str):
            a(str, a(dict, item, f"{where}.action_items[{n}]").get("description"), f"{where}.action_items[{n}]")
            a(bool, item.get("completed"), f"{where}.action_items[{n}].completed")
    every(_event, found.get("events"), f"{where}.events")


def _event(value: Any, where: str) -> None:
    found: Json = a(dict, value, where)
    a(str, found.get("title"), f"{where}.title")
    instant(found.get("start"), f"{where}.start")
    a(int, found.get("duration"), f"{where}.duration")
    a(str, found.get("description"), f"{where}.description")
    a(bool, found.get("created"), f"{where}.created")


def geolocation(value: Any, where: str) -> None:
    found: Json = a(dict, value, where)
    a(float, found.get("latitude"), f"{where}.latitude")
    a(float, found.get("longitude"), f"{where}.longitude")


def photo(value: Any, where: str = "photo") -> None:
    found: Json = a(dict, value, where)
    a(str, found.get("base64"), f"{where}.base64")
    a(str, found.get("description"), f"{where}.description")


def memory(value: Any, where: str = "memory") -> Json:
    found: Json = a(dict, value, where)
    a(str, found.get("id"), f"{where}.id")
    instant(found.get("created_at"), f"{where}.created_at")
    for name in ("started_at", "finished_at"):
        if found.get(name) is not None:
            instant(found[name], f"{where}.{name}")
    structured(found.get("structured"), f"{where}.structured")
    every(segment, found.get("transcript_segments"), f"{where}.transcript_segments")
    every(photo, found.get("photos"), f"{where}.photos")
    every(_plugin, found.get("plugins_results"), f"{where}.plugins_results")
    for name in ("discarded", "deleted"):
        a(bool, found.get(name), f"{where}.{name}")
    if found.get("geolocation") is not None:
        geolocation(found["geolocation"], f"{where}.geolocation")
    for name in ("language", "source", "processing_memory_id"):
        maybe(str, found.get(name), f"{where}.{name}")
    maybe(dict, found.get("external_data"), f"{where}.external_data")
    told = maybe(dict, found.get("postprocessing"), f"{where}.postprocessing")
    if told is not None:
        if told.get("status") not in _STATUSES:
            raise Crash(f"{where}.postprocessing.status is {told.get('status')!r}")
        maybe(str, told.get("model"), f"{where}.postprocessing.model")
        maybe(str, told.get("fail_reason"), f"{where}.postprocessing.fail_reason")
    if found.get("visibility") not in ("private", "shared", "public"):
        raise Crash(f"{where}.visibility is {found.get('visibility')!r}")
    return found


def _plugin(value: Any, where: str) -> None:
    found: Json = a(dict, value, where)
    maybe(str, found.get("plugin_id"), f"{where}.plugin_id")
    a(str, found.get("content"), f"{where}.content")


def created(value: Any) -> Json:
    """``POST /v1/memories`` and the like: the memory and the chat's messages."""
    found: Json = a(dict, value, "answer")
    memory(found.get("memory"))
    every(_message, found.get("messages"), "messages")
    return found


def _message(value: Any, where: str) -> None:
    if a(dict, value, where).get("sender") not in ("ai", "human"):
        raise Crash(f"{where}.sender is {value.get('sender')!r}")


def transcripts(value: Any) -> Json:
    found: Json = a(dict, value, "transcripts")
    for name in ("deepgram", "soniox", "speechmatics", "whisperx"):
        every(segment, found.get(name), f"transcripts.{name}")
        starts = [item["start"] for item in found[name]]
        if starts != sorted(starts):
            raise Crash(f"transcripts.{name} is not sorted")
    return found


def person(value: Any, where: str = "person") -> Json:
    found: Json = a(dict, value, where)
    a(str, found.get("id"), f"{where}.id")
    a(str, found.get("name"), f"{where}.name")
    instant(found.get("created_at"), f"{where}.created_at")
    instant(found.get("updated_at"), f"{where}.updated_at")
    every(lambda item, at: a(str, item, at), found.get("speech_samples"), f"{where}.speech_samples")
    return found


def message(value: Any) -> None:
    """One message of the socket: a bare array of segments, or an event that the app knows or skips."""
    if isinstance(value, list):
        every(segment, value, "segments")
        return
    found: Json = a(dict, value, "event")
    kind = a(str, found.get("type"), "event.type")
    if found.get("event_type") != kind:
        raise Crash(f"type is {kind!r} and event_type is {found.get('event_type')!r}: the app reads either")
    for name in _EVENTS.get(kind, ()):
        if name not in found:
            raise Crash(f"{kind} has no {name}")
    if kind == "new_memory_created":
        memory(found["memory"])
        every(_message, found["messages"], "messages")
        every(lambda item, at: a(str, item, at), found["message_ids"], "message_ids")
    for name in ("memory_id", "processing_memory_id"):
        if name in _EVENTS.get(kind, ()):
            maybe(str, found[name], f"{kind}.{name}")
