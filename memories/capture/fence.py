"""Nothing of a session is stored once its user's account was erased, whatever the order in which threads come by.

The erasure raises its fence first and deletes then. A write looks before and after itself: one that slipped in between
(its thread slept between look and write) finds the fence afterwards and takes back what it wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from memories.ids import memory_id_for
from memories.mirror import rows
from memories.models import EventCounter, ProcessingMemoryRow, UserEvent
from memories.pipeline import service
from memories.repository.memories import memory_path
from memories.repository.processing import processing_path
from memories.user_events import log as events
from omi.accounts.erased import AccountErased, erased_since, require_alive
from omi.stores.documents import documents
from transcription.ports import Conversation, ConversationGone, SessionInfo

log = structlog.get_logger(__name__)

T = TypeVar("T")


def fenced(function: Callable[..., T], session: SessionInfo, *args: Any, **kwargs: Any) -> T:
    """Call ``function(session, ...)``, whose result or first argument is the conversation; raises AccountErased."""
    require_alive(session.uid, session.fenced_from)
    return fenced_after(function, session, *args, **kwargs)


def fenced_after(function: Callable[..., T], session: SessionInfo, *args: Any, **kwargs: Any) -> T:
    """Call a function as ``fenced`` does, without the look before: for what is written every few seconds, and only
    below a conversation that is there. An erasure that came before took the conversation away."""
    try:
        result = function(session, *args, **kwargs)
    except ConversationGone:
        require_alive(session.uid, session.fenced_from)
        raise
    if erased_since(session.uid, session.fenced_from):
        conversation = result if isinstance(result, Conversation) else next(iter(args), None)
        if conversation is not None:
            _take_back(session.uid, conversation.id)
        raise AccountErased("the account was erased")
    return result


def _take_back(uid: str, conversation_id: str) -> None:
    memory_id = memory_id_for(conversation_id)
    log.warning("written_after_erasure")
    service.forget_memory(uid, memory_id)
    documents().delete(processing_path(uid, conversation_id), recursive=True)
    documents().delete(memory_path(uid, memory_id), recursive=True)
    events.forget_memory(uid, memory_id)
    UserEvent.objects.filter(uid=uid, payload__processing_memory_id=conversation_id).delete()
    if not UserEvent.objects.filter(uid=uid).exists():
        EventCounter.objects.filter(uid=uid).delete()
    ProcessingMemoryRow.objects.filter(uid=uid, processing_memory_id=conversation_id).delete()
    rows.forget_memory(uid, memory_id)
