"""Rules of webhooks: which events are told, to which addresses, how often and until when."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from memories.user_events import log as events
from memories.webhooks import reaching

MOST_PER_USER = 5
MOST_WAITING = 1000
"""Messages that wait for one address; while there are as many the log is not read on (it keeps 90 days)."""
MAX_URL = 1024
KEPT = timedelta(days=7)
TRIED_FOR = timedelta(days=1)
OFF_AFTER = timedelta(days=1)
BOTH_SECRETS = timedelta(days=1)
FIRST_PAUSE = 30.0
LONGEST_PAUSE = 4 * 3600.0


@dataclass(frozen=True)
class Kind:
    """A kind of message, and the event of the log that it is made from."""

    name: str
    event: str


KINDS = (
    Kind("memory.created", events.MEMORY_CREATED),
    Kind("memory.updated", events.MEMORY_UPDATED),
    Kind("memory.post_processed", events.POST_PROCESSING_SUCCESS),
    Kind("memory.post_processing_failed", events.POST_PROCESSING_FAILED),
    Kind("recap.created", events.RECAP_CREATED),
    Kind("action_item.created", events.ACTION_ITEM_CREATED),
)
"""A kind whose event enters the log one day is a further line here."""
NAMES = tuple(kind.name for kind in KINDS)
BY_EVENT = {kind.event: kind.name for kind in KINDS}
TEST = "webhook.test"


@dataclass(frozen=True)
class Address:
    """A checked address in parts. The request is made of these and never of the text again, so that no two parsers
    read it differently."""

    scheme: str
    host: str
    port: int
    target: str


class BadAddress(ValueError):
    """The address may not be told anything; the sentence says why."""


_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\Z")
_INSIDE = frozenset({"localhost", "local", "internal", "lan", "home", "corp", "intranet", "private", "arpa"})
"""Last parts of names that only a local network knows (RFC 6761, 6762, 8375, and what the root will never hold)."""
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)\Z")
_TARGET = re.compile(r"[!-~]*\Z")


def address_of(url: str) -> Address:
    """Take an address apart. Raises BadAddress for what is not https, names a user, or leads where nothing may go."""
    if len(url) > MAX_URL or not _TARGET.match(url) or "\\" in url:
        raise BadAddress(f"The address should have at most {MAX_URL} printable ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
    except ValueError as error:
        raise BadAddress("The address is no URL") from error
    if "@" in parts.netloc or "#" in url:
        raise BadAddress("The address should have no user, password or fragment")
    literal = reaching.literal(host)
    if literal is None and not _HOST.match(host):
        raise BadAddress("The address names no host")
    local = settings.OMI_WEBHOOK_LOOPBACK and (host == "localhost" or (literal is not None and literal.is_loopback))
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise BadAddress("The address should begin with https://")
    port = port if port is not None else 443 if parts.scheme == "https" else 80
    if not local and str(port) not in settings.OMI_WEBHOOK_PORTS:
        raise BadAddress(f"The port should be one of {', '.join(settings.OMI_WEBHOOK_PORTS)}")
    if (literal is None and not local and _local_name(host)) or (literal is not None and not reaching.allowed(literal)):
        raise BadAddress("The address leads into a private or reserved network")
    return Address(parts.scheme, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _local_name(host: str) -> bool:
    """Whether a name can only lead inside, whatever it resolves to today: a name of one part, a local network's, or an
    address in one of the older notations (``127.1``, ``0x7f000001``), which resolvers read as numbers."""
    _, dot, last = host.lower().rpartition(".")
    return not dot or last in _INSIDE or _NUMBER.match(last) is not None


def pause(tries: int) -> timedelta:
    """How long to wait after this many failed tries: 30 s doubled up to four hours, each a fifth more or less."""
    seconds = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tries - 1, 20))
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))


def content(kind: str, number: int, timestamp: str, memory_id: str) -> dict[str, Any]:
    """What a message says: ids and where to read more, no words of anybody."""
    data: dict[str, Any] = {"event_number": number}
    if memory_id:
        data["memory_id"] = memory_id
        data["links"] = {"memory": f"{settings.OMI_PUBLIC_URL}/v1/memories/{memory_id}"}
    return {"type": kind, "timestamp": timestamp, "data": data}
