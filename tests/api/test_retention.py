"""How long recordings are kept: what the user sets holds for what is there and for what comes, and is really done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import tasks
from memories.shapes import Memory
from omi.accounts.users import recordings_age, update_user
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.api.conftest import Caller

pytestmark = pytest.mark.usefixtures("own_journals")
Make = Callable[..., Memory]
PATH = "/v1/users/retention"


def recorded(memory: Memory, *, days_ago: float, purpose: str = "recording", uid: str = "alice") -> str:
    kept = audio.put(uid, purpose, b"sound", memory_id=memory.id, keep_for=None)
    AudioObject.objects.filter(pk=kept.pk).update(created_at=timezone.now() - timedelta(days=days_ago))
    return str(kept.name)


def left() -> set[str]:
    return set(AudioObject.objects.filter(deleted_at=None).values_list("name", flat=True))


def test_what_is_kept_is_told(alice: Caller, bob: Caller, make_memory: Make) -> None:
    update_user("alice", store_recording_permission=True)
    recorded(make_memory(), days_ago=3)
    told = alice.get(PATH).json()
    assert (told["recordings_allowed"], told["recordings_keep_days"]) == (True, None)
    assert (told["recordings"]["count"], told["recordings"]["bytes"]) == (1, 5)
    assert told["recordings"]["next_deletion"] is None
    assert datetime.fromisoformat(told["recordings"]["oldest"]) < datetime.now(UTC) - timedelta(days=2)
    assert (told["uploads"]["count"], told["uploads_keep_hours"], told["events_days"]) == (0, 24.0, 90)
    assert bob.get(PATH).json()["recordings"]["count"] == 0


def test_a_shorter_time_holds_for_what_is_there_and_the_worker_deletes_it(alice: Caller, make_memory: Make) -> None:
    update_user("alice", store_recording_permission=True)
    old, new = recorded(make_memory(), days_ago=31), recorded(make_memory(), days_ago=3)
    sample, theirs = recorded(make_memory(), days_ago=99, purpose="sample"), recorded(
        make_memory(uid="bob"), days_ago=99, uid="bob"
    )  # fmt: skip
    told = alice.send("PATCH", PATH, {"recordings_keep_days": 30}).json()
    assert told["recordings_keep_days"] == 30
    assert left() == {old, new, sample, theirs}
    tasks.housekeeping()
    assert left() == {new, sample, theirs}
    assert not audio.storage().exists(old)
    told = alice.get(PATH).json()
    due = datetime.fromisoformat(told["recordings"]["next_deletion"])
    assert timedelta(days=26) < due - datetime.now(UTC) < timedelta(days=28)
    assert alice.send("PATCH", PATH, {"recordings_keep_days": None}).json()["recordings"]["next_deletion"] is None
    assert alice.send("PATCH", PATH, {}).json()["recordings_keep_days"] is None
    AudioObject.objects.update(created_at=timezone.now() - timedelta(days=4000))
    tasks.housekeeping()
    assert left() == {new, sample, theirs}


def test_taking_the_permission_back_erases_at_once(alice: Caller, make_memory: Make) -> None:
    update_user("alice", store_recording_permission=True)
    recorded(make_memory(), days_ago=1)
    told = alice.send("PATCH", PATH, {"recordings_allowed": False, "recordings_keep_days": 7}).json()
    assert (told["recordings_allowed"], told["recordings"]["count"], told["recordings_keep_days"]) == (False, 0, 7)
    assert left() == set()
    assert recordings_age("alice") == timedelta(days=7)


@pytest.mark.parametrize(
    "body",
    [{"recordings_keep_days": 0}, {"recordings_keep_days": 3651}, {"recordings_keep_days": "7"}, {"more": 1},
     {"recordings_keep_days": 1.5}, {"recordings_allowed": "yes"}],
)  # fmt: skip
def test_what_does_not_fit_is_422(alice: Caller, body: dict[str, Any]) -> None:
    assert alice.send("PATCH", PATH, body).status_code == 422
