"""The pages of what was captured offline, and of words that are put right."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.utils import timezone

from memories.changes import healing
from memories.offline.models import SyncBatch, SyncConversation, SyncFile
from memories.repository import memories as repository
from memories.shapes import Memory
from tests.api.conftest import segment
from tests.pages.conftest import Visitor

Make = Callable[..., Memory]


def said(make_memory: Make, text: str) -> Memory:
    return make_memory(transcript_segments=[segment("s0", text, "SPEAKER_00", 0, 4)])


def text_of(memory: Memory) -> str:
    return repository.get_memory("alice", memory.id).transcript_segments[0].text


def test_a_word_is_looked_at_put_right_and_taken_back(alice: Visitor, make_memory: Make) -> None:
    first, second = said(make_memory, "Hannah comes."), said(make_memory, "Hannah goes.")
    shown = alice.get("/app/healing", data={"heard": "hannah", "term": "<b>Anna"}).content.decode()
    assert "&lt;b&gt;Anna comes." in shown
    assert "<b>Anna" not in shown
    answer = alice.post("/app/healing", {"heard": "hannah", "term": "Anna", "left_out": [second.id]})
    assert answer.status_code == 302
    assert (text_of(first), text_of(second)) == ("Anna comes.", "Hannah goes.")
    shown = alice.get("/app/healing").content.decode()
    assert "Put right in 1 memory." in shown
    path = re.findall(r'action="(/app/healing/heal_\w+/undo)"', shown)[0]
    assert alice.post(path).status_code == 302
    assert text_of(first) == "Hannah comes."
    assert "taken back" in alice.get("/app/healing").content.decode()


def test_what_was_left_out_on_one_page_is_left_out_on_the_next(
    alice: Visitor, make_memory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "LOOKED_AT", 1)
    older, newer = said(make_memory, "Hannah comes."), said(make_memory, "Hannah goes.")
    shown = alice.get("/app/healing", data={"heard": "hannah", "term": "Anna"}).content.decode()
    cursor = re.findall(r'name="more" value="([^"]+)"', shown)[0].replace("&quot;", '"')
    form = {"heard": "hannah", "term": "Anna", "left_out": [newer.id], "more": cursor}
    following = alice.post("/app/healing", form).headers["Location"]
    shown = alice.get(following).content.decode()
    assert f'<input type="hidden" name="left_out" value="{newer.id}">' in shown
    assert f'type="checkbox" name="left_out" value="{older.id}"' in shown
    assert text_of(older) == "Hannah comes."


@pytest.mark.parametrize(
    ("form", "code"),
    [({"heard": "...", "term": "Anna"}, 422), ({"heard": "a"}, 422), ({"heard": "a", "term": "a"}, 422)],
)
def test_what_cannot_be_put_right_is_told(alice: Visitor, form: dict[str, str], code: int) -> None:
    assert alice.post("/app/healing", form).status_code == code
    assert alice.get("/app/healing", data=form).status_code == code


def test_a_strangers_healing_is_not_there(alice: Visitor, bob: Visitor, make_memory: Make) -> None:
    memory = said(make_memory, "Hannah comes.")
    made = healing.begin("alice", "hannah", "Anna", fence=lambda: None)
    for way in ("undo", "go-on", "else"):
        assert bob.post(f"/app/healing/{made.pk}/{way}").status_code == 404
    assert alice.post(f"/app/healing/{made.pk}/else").status_code == 404
    assert text_of(memory) == "Anna comes."


def test_the_batches_are_shown_with_what_became_of_each_file(alice: Visitor, bob: Visitor) -> None:
    now = timezone.now()
    for number in range(21):
        SyncBatch.objects.create(
            id=f"sync_{number:02d}", uid="alice", language="en", request="0", state="done", created_at=now,
            expires_at=now,
        )  # fmt: skip
    batch = SyncBatch.objects.get(id="sync_00")
    for number, state in enumerate(SyncFile.State.values):
        SyncFile.objects.create(
            batch=batch, number=number, name="<b>walk", captured_at=now, codec="file", size=1, sha256=str(number),
            state=state,
        )  # fmt: skip
    SyncConversation.objects.create(
        batch=batch, number=0, processing_memory_id="p", memory_id="m-1",
        parts=[{"file": SyncFile.State.values.index("placed"), "start": 0, "end": 1, "speech": []}],
    )  # fmt: skip
    shown = alice.get("/app/offline").content.decode()
    assert '<a href="/app/memories/m-1">' in shown
    assert "&lt;b&gt;walk" in shown
    assert "<b>walk" not in shown
    for sentence in ("nobody speaks in it", "was heard already", "came before", "cannot be read as a recording"):
        assert sentence in shown
    following = re.findall(r'rel="next" href="(\?before=\w+)"', shown)[0]
    assert alice.get(f"/app/offline{following}").content.decode().count("<section") == 1
    assert "Nothing was sent yet." in bob.get("/app/offline").content.decode()
    assert bob.get("/app/offline?before=sync_00").status_code == 404
