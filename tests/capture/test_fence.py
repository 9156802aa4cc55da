"""A session of an account that was erased stores nothing more, whichever thread comes first."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from memories.capture import conversations
from memories.capture.sink import CaptureSink
from memories.privacy import erasure
from omi.accounts import tokens
from omi.accounts.erased import AccountErased, erased_among, erased_since
from omi.accounts.identity import InvalidToken, verify_token
from omi.accounts.models import ErasedAccount
from tests.capture.test_sink import ALL_HEARD, do, said, session, talk
from transcription import journal
from transcription.journal.writer import Journal
from transcription.ports import SessionInfo
from transcription.session import recovery
from transcription.session.pieces import divided

pytestmark = pytest.mark.django_db(transaction=True)


def live(name: str = "s-1", *, signed_in: float = 0.0) -> SessionInfo:
    return SessionInfo("alice", name, datetime.now(UTC), "en", "pcm16", 16_000, None, signed_in)


@pytest.mark.parametrize("step", ["open", "store", "store_transcripts", "finish"])
def test_every_write_of_a_session_meets_the_fence(step: str) -> None:
    async def work(sink: CaptureSink) -> None:
        info = live()
        conversation = await sink.open(info)
        await sink.store(info, conversation, divided([said("a", "Hello.", 0, 2)]), last_audio=2.0)
        from asgiref.sync import sync_to_async

        await sync_to_async(erasure.erase_user)("alice")
        writes = {
            "open": lambda: sink.open(info),
            "store": lambda: sink.store(info, conversation, divided([said("a", "Hello again.", 0, 2)]), last_audio=2.0),
            "store_transcripts": lambda: sink.store_transcripts(info, conversation, {"m": [said("a", "Hi.", 0, 2)]}),
            "finish": lambda: sink.finish(info, conversation, reason="closed", accounting=ALL_HEARD),
        }
        with pytest.raises(AccountErased):
            await writes[step]()

    do(work)
    assert erasure.verify_user_erased("alice") == {}


@pytest.mark.parametrize("step", ["open_conversation", "store_segments", "store_transcripts", "finish_conversation"])
def test_a_write_that_slept_through_the_erasure_takes_back_what_it_wrote(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked before the account was erased, and wrote afterwards."""
    kept = getattr(conversations, step)
    info = live()

    def late(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(conversations, step, kept)
        if step != "open_conversation":
            began = conversations.open_conversation(info)
            conversations.store_segments(info, began, divided([said("a", "Hello.", 0, 2)]), last_audio=2.0)
        erasure.erase_user("alice")
        made = conversations.open_conversation(info)  # as if what is written to were still there
        return kept(info, *([] if step == "open_conversation" else [made, *args[2:]]), **kwargs)

    async def work(sink: CaptureSink) -> None:
        monkeypatch.setattr(conversations, step, late)
        conversation = await sink.open(info)
        await sink.store(info, conversation, divided([said("a", "Hello.", 0, 2)]), last_audio=2.0)
        await sink.store_transcripts(info, conversation, {"m": [said("a", "Hello.", 0, 2)]})
        await sink.finish(info, conversation, reason="closed", accounting=ALL_HEARD)

    with pytest.raises(AccountErased):
        do(work)
    assert erasure.verify_user_erased("alice") == {}


def test_who_signs_in_anew_after_the_erasure_is_kept() -> None:
    do(lambda sink: talk(sink, session()))
    erasure.erase_user("alice")
    conversation = do(lambda sink: talk(sink, live("s-2", signed_in=datetime.now(UTC).timestamp())))
    assert conversation.id
    assert erasure.verify_user_erased("alice") != {}


def test_a_session_that_began_after_the_erasure_under_a_token_of_before_is_stopped() -> None:
    signed_in = datetime.now(UTC).timestamp()
    erasure.erase_user("alice")
    with pytest.raises(AccountErased):
        do(lambda sink: sink.open(live(signed_in=signed_in)))


def test_recovery_removes_what_an_erased_account_left(settings: Any, tmp_path: Any) -> None:
    settings.OMI_DATA_DIR = tmp_path
    from transcription.audio.codecs import codec

    it = Journal.open(live(), codec("pcm16"), watch=True)
    it.append([bytes(32000 * 2)])
    it.abandon()
    ErasedAccount.objects.create(digest=_digest("alice"))
    assert recovery.recover_sessions() == 1
    assert list(journal.sessions()) == []
    assert erasure.verify_user_erased("alice") == {}


def _digest(uid: str) -> str:
    from omi.accounts.models import uid_digest

    return uid_digest(uid)


def test_another_secret_key_voids_no_fence(settings: Any) -> None:
    signed_in = datetime.now(UTC)
    token = tokens.mint("alice")
    erasure.erase_user("alice")
    settings.SECRET_KEY = "another-secret-key-of-fifty-characters-at-the-least"
    settings.SECRET_KEY_FALLBACKS = []
    assert erased_since("alice", signed_in)
    assert set(erased_among(["alice", "bob"])) == {"alice"}
    with pytest.raises(InvalidToken):
        verify_token(token)


@pytest.mark.parametrize("rotated", [False, True])
def test_fences_of_earlier_servers_hold(settings: Any, rotated: bool) -> None:
    """They were keyed with the secret key; one that is changed stays known as a fallback."""
    signed_in = datetime.now(UTC)
    keyed = hashlib.blake2b(b"alice", key=settings.SECRET_KEY.encode()[:64], digest_size=16).hexdigest()
    ErasedAccount.objects.create(digest=keyed)
    if rotated:
        before, settings.SECRET_KEY = settings.SECRET_KEY, "another-secret-key-of-fifty-characters-at-the-least"
        settings.SECRET_KEY_FALLBACKS = [before]
    assert erased_since("alice", signed_in)
    assert not erased_since("bob", signed_in)
