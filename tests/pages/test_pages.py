"""What the pages do: the same as the API, seen in its stores."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

import pytest

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from memories.feedback.models import Report
from memories.repository import emotions
from memories.repository import memories as repository
from memories.repository.memories import MemoryNotFound
from memories.shapes import Memory, Visibility
from memories.vocabulary import terms
from memories.webhooks import hooks
from omi.accounts import users
from omi.stores import audio
from speakers import people
from tests.api.conftest import segment
from tests.pages.conftest import Visitor
from tests.support import sound

Make = Callable[..., Memory]


def test_the_timeline_has_every_memory_once_by_day_in_the_users_zone(alice: Visitor, make_memory: Make) -> None:
    users.update_user("alice", time_zone="Asia/Kathmandu")
    made = [make_memory().id for _ in range(45)]
    make_memory(discarded=True, id="set-aside")
    found: list[str] = []
    path: str | None = "/app"
    while path:
        text = alice.get(path).content.decode()
        found += re.findall(r'href="/app/memories/([^"/]+)"', text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = following.group(1) if following else None
    assert found == made[::-1]
    # 18:15 in London is the next day in Kathmandu.
    first = alice.get("/app").content.decode()
    assert "Sunday, 22 November 2026" in first
    assert "set-aside" in alice.get("/app?discarded=true").content.decode()
    assert alice.get("/app?cursor=nonsense").status_code == 422


def test_a_correction_wins_and_a_voice_gets_a_name(alice: Visitor, make_memory: Make) -> None:
    memory = make_memory()
    path = f"/app/memories/{memory.id}"
    assert alice.post(f"{path}/texts", {"title": "Island", "overview": "To the island."}).status_code == 302
    assert repository.get_memory("alice", memory.id).edits.title == "Island"
    assert "Your words win" in alice.get(path).content.decode()
    assert alice.post(f"{path}/texts", {"title": "x" * 301}).status_code == 422
    named = alice.post(f"{path}/voice", {"segment": "s0", "who": "new", "name": "Anna", "reach": "voice"})
    assert named.status_code == 302
    (anna,) = people.names("alice")
    said = repository.get_memory("alice", memory.id).transcript_segments
    assert [item.person_id for item in said] == [anna, None, anna]
    alice.post(f"{path}/voice", {"segment": "s2", "who": "user", "reach": "segment"})
    said = repository.get_memory("alice", memory.id).transcript_segments
    assert [(item.is_user, item.person_id) for item in said] == [(False, anna), (False, None), (True, None)]
    assert "Anna" in alice.get(path).content.decode()
    for form in ({"who": "user"}, {"segment": "gone", "who": "user"}, {"segment": "s0", "who": "somebody-else"},
                 {"segment": "s0", "who": "new", "name": "A"}):  # fmt: skip
        assert alice.post(f"{path}/voice", form).status_code in (404, 409, 422), form


def test_a_link_leads_to_the_moment_on_a_page_of_a_long_memory(alice: Visitor, make_memory: Make) -> None:
    memory = make_memory(
        transcript_segments=[segment(f"s{n}", f"word{n}", "SPEAKER_00", n, n + 1) for n in range(1000)]
    )
    text = alice.get(f"/app/memories/{memory.id}?t=500.5").content.decode()
    assert re.search(r'id="meant"[^>]*data-start="500.0"', text)
    assert text.count("data-start=") == 400
    assert "?from=0#" in text
    assert "?from=800#" in text
    assert alice.get(f"/app/memories/{memory.id}?t=nan").status_code == 422
    assert "word999" in alice.get(f"/app/memories/{memory.id}?t=9999").content.decode()


def test_the_recording_plays_from_any_point_for_its_owner_only(alice: Visitor, bob: Visitor, make_memory: Make) -> None:
    memory = make_memory()
    audio.put("alice", "recording", io.BytesIO(sound.tone(2)), memory_id=memory.id, keep_for=None)
    emotions.save_emotions(
        "alice", memory.id, EmotionTimeline(vendor="local", model="m", kind="estimate", spans=[
            EmotionSpan(start=0, end=4, emotions=[EmotionScore(name="joy", score=0.5)])]))  # fmt: skip
    page = alice.get(f"/app/memories/{memory.id}").content.decode()
    assert "<audio" in page
    assert "joy" in page
    part = alice.get(f"/app/memories/{memory.id}/audio", headers={"Range": "bytes=0-3"})
    assert (part.status_code, b"".join(part)) == (206, b"RIFF")
    assert b"<svg" in alice.get(f"/app/memories/{memory.id}/waveform.svg").content
    assert bob.get(f"/app/memories/{memory.id}/audio").status_code == 404
    assert bob.get(f"/app/memories/{memory.id}/waveform.svg").status_code == 404


def test_sharing_feedback_files_and_the_end_of_a_memory(alice: Visitor, make_memory: Make) -> None:
    memory = make_memory()
    path = f"/app/memories/{memory.id}"
    alice.post(f"{path}/visibility", {"visibility": "shared"})
    assert repository.get_memory("alice", memory.id).visibility is Visibility.SHARED
    alice.post(f"{path}/visibility", {"visibility": "private"})
    assert repository.get_memory("alice", memory.id).visibility is Visibility.PRIVATE
    assert alice.post(f"{path}/visibility", {"visibility": "public"}).status_code == 422
    alice.post("/app/feedback", {"part": "summary", "memory_id": memory.id, "thumb": "down"})
    assert Report.objects.get(uid="alice").thumb == -1
    assert alice.post("/app/feedback", {"part": "summary", "memory_id": memory.id}).status_code == 422
    for name in ("srt", "vtt", "txt", "md", "json"):
        answer = alice.get(f"{path}/download/{name}")
        assert answer.status_code == 200
        assert "island" in answer.content.decode()
    assert alice.get(f"{path}/download/exe").status_code == 404
    assert alice.post(f"{path}/delete").status_code == 302
    with pytest.raises(MemoryNotFound):
        repository.get_memory("alice", memory.id)


def test_search_marks_the_words_and_links_the_moment(alice: Visitor, make_memory: Make) -> None:
    memory = make_memory()
    text = alice.get("/app/search?q=life+jackets").content.decode()
    assert "<mark>life</mark>" in text
    assert f"/app/memories/{memory.id}?t=5.0#meant" in text
    assert alice.get("/app/search?q=boat&start=nonsense").status_code == 422
    asked = alice.post("/app/ask", {"question": "What should I bring?"}).content.decode()
    assert "life jackets" in asked
    assert 'name="before" value="What should I bring?"' in asked


def test_settings_are_kept_and_checked(alice: Visitor) -> None:
    form = {"name": "Ann", "time_zone": "Asia/Kathmandu", "language": "", "recap_daily": "on"}
    alice.post("/app/settings", form)
    user = users.get_user("alice")
    assert (user.name, user.time_zone, user.recap_daily, user.recap_weekly) == ("Ann", "Asia/Kathmandu", True, False)
    assert alice.post("/app/settings", {**form, "time_zone": "Mars"}).status_code == 422
    alice.post("/app/settings/consents", {"store_recording_permission": "on", "cases": "on"})
    user = users.get_user("alice")
    assert (user.store_recording_permission, user.improvement.cases, user.improvement.learning) == (True, True, False)
    assert user.recordings_keep_days is None
    audio.put("alice", "recording", b"sound", memory_id="m", keep_for=None)
    alice.post("/app/settings/consents", {"store_recording_permission": "on", "recordings_keep_days": "90"})
    shown = alice.get("/app/settings").content.decode()
    assert '<option value="90" selected>90 days</option>' in shown
    assert "1 recording, 5\xa0bytes" in shown
    assert "the next goes on" in shown
    alice.post("/app/settings/consents", {"store_recording_permission": "on"})  # a page of an earlier version
    assert users.get_user("alice").recordings_keep_days == 90
    for odd in ("0", "-1", "x", "99999999999"):
        assert alice.post("/app/settings/consents", {"recordings_keep_days": odd}).status_code == 422
    assert users.get_user("alice").store_recording_permission  # what is refused erases nothing
    alice.post("/app/settings/consents", {"store_recording_permission": "on", "recordings_keep_days": ""})
    assert users.get_user("alice").recordings_keep_days is None
    alice.post("/app/settings/vocabulary", {"terms": "Kathmandu\r\nOmi\r\n\r\n"})
    assert terms.of("alice").terms == ["Kathmandu", "Omi"]
    added = alice.post("/app/settings/webhooks", {"url": "https://hooks.example.org/omi", "kinds": "memory.created"})
    assert "whsec_" in added.content.decode()
    assert alice.post("/app/settings/webhooks", {"url": "http://169.254.169.254/"}).status_code == 422
    (hook,) = hooks.of_user("alice")
    assert "whsec_" not in alice.get("/app/settings").content.decode()
    alice.post(f"/app/settings/webhooks/{hook.id}/delete")
    assert not hooks.of_user("alice")


def test_everything_can_be_taken_along_and_erased_with_a_receipt(alice: Visitor, make_memory: Make) -> None:
    memory = make_memory()
    packed = b"".join(alice.get("/app/settings/export"))
    names = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    assert any(memory.id in name or "memories" in name for name in names)
    assert alice.post("/app/settings/delete-account", {"word": "delete"}).status_code == 422
    assert repository.get_memory("alice", memory.id)
    receipt = alice.post("/app/settings/delete-account", {"word": "DELETE"})
    assert "Your account is erased" in receipt.content.decode()
    assert alice.get("/app").status_code == 302
    with pytest.raises(MemoryNotFound):
        repository.get_memory("alice", memory.id)
