"""Nothing is written of a person who was deleted, by whoever is late.

The deletion marks the person first, then holds the user's gallery and clears what is there (``forget.forget_person``).
A writer holds the gallery and looks whether the person is there before it writes: so either it finds the mark, or the
deletion finds what it wrote.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from django.db import transaction

from omi.accounts.erased import Fence
from omi.core.errors import ProviderError
from omi.stores import audio
from omi.stores.models import AudioObject
from speakers import gallery, people
from speakers.models import USER
from speakers.policy import CANDIDATE_USER, VoiceDecision
from speakers.reasons import Reason


def no_fence() -> None:
    """Do nothing: no condition but the person is checked."""


@contextlib.contextmanager
def storing(uid: str, person_id: str, stored: AudioObject, fence: Fence) -> Iterator[None]:
    """The transaction that stores a sample of a voice, alone in this user's gallery.

    Measuring takes seconds, in which the account, the memory or the person may have been erased: ``fence`` raises then,
    or PersonNotFound is, and ``stored`` goes, too.
    """
    try:
        with transaction.atomic():
            gallery.lock(uid)
            fence()
            if person_id != USER:
                people.get_person(uid, person_id)
            yield
    except Exception:
        with contextlib.suppress(ProviderError):  # it is due for the sweeper anyway
            audio.delete(stored)
        raise


def without_the_gone(uid: str, voices: Iterable[VoiceDecision]) -> list[VoiceDecision]:
    """Inside a transaction, before decisions are written: they name nobody who was deleted. The gallery is held where
    they name a person at all."""
    found = list(voices)
    named = {name for voice in found for name in _named(voice)}
    if not named:
        return found
    gallery.lock(uid)
    gone = {name for name in named if not there(uid, name)}
    return [_without(voice, gone) for voice in found] if gone else found


def there(uid: str, person_id: str | None) -> bool:
    """Whether the person is not deleted; the user (None, ``USER``) always is."""
    if not person_id:
        return True
    try:
        people.get_person(uid, person_id)
    except people.PersonNotFound:
        return False
    return True


def _named(voice: VoiceDecision) -> set[str]:
    return {
        name
        for name in (voice.person_id, voice.best, voice.runner_up, voice.suggestion)
        if name and name != CANDIDATE_USER
    }


def _without(voice: VoiceDecision, gone: set[str]) -> VoiceDecision:
    """As ``forget.forget_person`` leaves a stored decision."""
    if voice.suggestion in gone:
        voice = replace(voice, suggestion=None, suggestion_probability=0.0)
    if voice.person_id in gone:
        voice = replace(voice, person_id=None, manual=False, reason=Reason.WITHDRAWN)
    return replace(
        voice,
        best=None if voice.best in gone else voice.best,
        runner_up=None if voice.runner_up in gone else voice.runner_up,
    )
