"""Who may see a page: its owner. Strangers find nothing, who is not signed in gets to the sign-in, no page runs what
somebody said."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from memories.changes import comments
from memories.document_parts import AppliedTemplate, Point, Section
from memories.labels import labelling, store
from memories.pages.urls import urlpatterns
from memories.repository import memories as repository
from memories.reshaping.models import Reshaping
from memories.shapes import ActionItem, Event, Memory, Structured
from memories.templates import store as templates
from memories.templates.shapes import TemplateSection
from memories.vocabulary import terms
from omi.accounts import revocation, tokens, users
from speakers import people
from tests.api.conftest import read, segment
from tests.pages.conftest import Visitor

Make = Callable[..., Memory]
EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">"\'{{7*7}}'
OPEN = {"/app/sign-in", "/app/sign-out"}
POSTED = re.compile(
    r"/(texts|voice|visibility|activate|delete|feedback|name|token|consents|vocabulary|webhooks|labels|comments|"
    r"keep|restore|erase|template|change|default|merge|undo|end|voices/split|healing/\w+/\w+)$"
)


def paths(**ids: str) -> Iterator[str]:
    """All routes of the pages, from the URL table: none can be forgotten."""
    for item in urlpatterns:
        assert isinstance(item, URLPattern)
        yield "/app" + re.sub(r"<\w+:(\w+)>", lambda found: ids.get(found.group(1), "x"), str(item.pattern))


def owned(memory: Memory) -> dict[str, str]:
    person = people.create_person("alice", "Anna")
    label = store.create("alice", "folder", "Anna's", fence=lambda: None)
    template = templates.create("alice", "Anna's", [TemplateSection(heading="Boats")], fence=lambda: None)
    now = timezone.now()
    done = Reshaping.objects.create(
        id="rs_alice", uid="alice", kind="merge", key="k", state="done", finished=True, next_at=now, done_at=now
    )
    done.memories.create(uid="alice", memory_id=memory.id, made=True, position=0)
    return {
        "memory_id": memory.id, "person_id": person.id, "file_format": "txt", "kind": "day", "day": "2026-11-20",
        "webhook_id": "wh_none", "reshaping_id": "rs_alice", "label_id": label.id,
        "template_id": template.id, "link_id": "ln_none",
    }  # fmt: skip


def test_who_is_not_signed_in_gets_to_the_sign_in_from_every_page(db: None, make_memory: Make) -> None:
    seen = 0
    for path in paths(**owned(make_memory())):
        if path in OPEN:
            continue
        for answer in (Client().get(path), Client().post(path)):
            assert answer.status_code in (302, 405), (path, answer.status_code)
            if answer.status_code == 302:
                assert answer.headers["Location"].startswith("/app/sign-in?next=%2Fapp"), path
                seen += 1
    assert seen > 40 - 10


def test_a_stranger_finds_nothing_and_changes_nothing(alice: Visitor, bob: Visitor, make_memory: Make) -> None:
    memory = make_memory()
    ids = owned(memory)
    before = repository.get_memory("alice", memory.id)
    form = {"title": "mine", "segment": "s0", "who": "user", "visibility": "shared", "name": "Mine", "model": "m",
            "version": "v", "text": "x", "part": "summary", "memory_id": memory.id, "thumb": "up", "q": "boat",
            "voice": "SPEAKER_01", "into": "SPEAKER_00", "change": "ch_none"}  # fmt: skip
    asked = 0
    for pattern, path in zip(urlpatterns, paths(**ids), strict=True):
        if not re.search("memory_id|person_id|label_id|template_id|reshaping_id", str(pattern.pattern)):
            continue
        for answer in (bob.get(path, data={"segment": "s0"}), bob.post(path, form)):
            assert answer.status_code in (404, 405), (path, answer.status_code)
            assert b"Boat trip" not in answer.content
            asked += answer.status_code == 404
    assert asked >= 20
    assert bob.post("/app/feedback", form).status_code == 404
    for path in (
        "/app",
        "/app/people",
        "/app/recaps",
        "/app/search?q=boat+island",
        "/app/labels",
        "/app/trash",
        "/app/templates",
    ):
        shown = bob.get(path)
        assert shown.status_code == 200
        assert b"Boat trip" not in shown.content
        assert b"Anna" not in shown.content
    assert repository.get_memory("alice", memory.id) == before
    assert people.names("alice") == {ids["person_id"]: "Anna"}


def test_every_page_of_the_owner_answers_with_a_strict_policy(alice: Visitor, make_memory: Make) -> None:
    ids = owned(make_memory())
    for path in paths(**ids):
        answer = alice.get(path, data={"segment": "s1"} if path.endswith(("/voice", "/split")) else {})
        expected = {405} if answer.status_code == 405 else {200}
        if path.endswith(("/audio", "/waveform.svg", "/recaps/day/2026-11-20")):
            expected = {404}  # no recording is kept, no recap is made
        assert answer.status_code in expected, (path, answer.status_code)
        read(answer)
        assert answer.status_code != 405 or path.endswith(("/sign-out",)) or POSTED.search(path), path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        if path not in OPEN and answer.status_code != 405:
            assert "no-store" in answer.headers["Cache-Control"], path
        if answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html"):
            text = answer.content.decode()
            assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|<style|\son\w+=", text), path
            assert "<h1" in text, path


def test_markup_in_any_field_stays_text(alice: Visitor, make_memory: Make) -> None:
    person = people.create_person("alice", "<b>Anna</b>")
    memory = make_memory(
        structured=Structured(
            title=EVIL, overview=EVIL, emoji=EVIL, action_items=[ActionItem(description=EVIL)],
            events=[Event(title=EVIL, description=EVIL, start=make_memory().created_at)],
            sections=[Section(heading=EVIL, points=[Point(text=EVIL)])],
            template=AppliedTemplate(id="st_1", name=EVIL),
        ),
        language=EVIL[:30],
        transcript_segments=[segment("s0", f"boat {EVIL}", "SPEAKER_00", 0, 4, person_id=person.id)],
    )  # fmt: skip
    comments.add("alice", memory.id, EVIL, fence=lambda: None)
    templates.create("alice", EVIL[:60], [TemplateSection(heading=EVIL, instruction=EVIL)], fence=lambda: None)
    label = store.create("alice", "tag", EVIL[:60], fence=lambda: None)
    labelling.put("alice", memory.id, {"tag_ids": [label.id]}, fence=lambda: None)
    users.update_user("alice", name=EVIL, language=EVIL[:30], vocabulary=[EVIL])
    terms.put("alice", [EVIL])
    paths_shown = ["/app", f"/app/memories/{memory.id}", f"/app/memories/{memory.id}/voice?segment=s0", "/app/people",
                   f"/app/memories/{memory.id}/delete", f"/app/memories/{memory.id}/transcripts", "/app/settings",
                   f"/app/people/{person.id}/delete", "/app/search?q=boat", "/app/insights", "/app/live",
                   "/app/templates", "/app/labels", f"/app/labels/{label.id}/delete",
                   f"/app?tags={label.id}"]  # fmt: skip
    shown = [alice.get(path) for path in paths_shown]
    shown.append(alice.get("/app/search", data={"q": EVIL}))
    shown.append(alice.post("/app/ask", {"question": f"boat {EVIL}", "before": [EVIL], "answered": [EVIL]}))
    silent = []
    for answer in shown:
        assert answer.status_code == 200, answer.request["PATH_INFO"]
        text = answer.content.decode()
        assert "<script>" not in text
        assert "<img src=x" not in text
        assert "<b>Anna" not in text
        assert "49" not in re.findall(r"&#x27;(\w+)", text)
        if "&lt;script&gt;" not in text and "&lt;b&gt;" not in text:
            silent.append(answer.request["PATH_INFO"])
    assert silent == ["/app/insights"]  # they know nobody yet


def test_the_cookie_is_for_no_script_and_no_other_site_and_ends_with_the_token(db: None) -> None:
    client = Client()
    client.post("/app/sign-in", {"token": f"  {tokens.mint('carla', days=1)}\n", "next": "https://evil.example/"})
    cookie = client.cookies["omi_app"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/app")
    assert 86_000 < int(cookie["max-age"]) <= 86_400
    assert client.get("/app").status_code == 200
    revocation.sign_out("carla", reason="a test")
    ended = client.get("/app/people")
    assert ended.status_code == 302
    assert client.cookies["omi_app"].value == "", "a token that counts for nothing is not kept"


def test_only_a_good_token_signs_in(db: None) -> None:
    now = time.time()
    expired = signing.dumps({"uid": "carla", "iat": now - 9, "exp": now - 1}, salt=tokens.SALT)
    for token in ("", "nonsense", expired, "a" * 9000, signing.dumps({"uid": "carla"}, salt="another")):
        client = Client()
        answer = client.post("/app/sign-in", {"token": token})
        assert answer.status_code == 401
        assert "omi_app" not in client.cookies
        client.cookies["omi_app"] = token
        assert client.get("/app").status_code == 302


@pytest.mark.parametrize("back", ["https://evil.example/app", "//evil.example", "/application", "/admin/", "\\app", ""])
def test_the_sign_in_leads_to_our_pages_only(db: None, back: str) -> None:
    answer = Client().post("/app/sign-in", {"token": tokens.mint("carla"), "next": back})
    assert answer.headers["Location"] == "/app"


def test_forms_of_other_sites_are_refused(db: None, make_memory: Make) -> None:
    memory = make_memory()
    client = Client(enforce_csrf_checks=True)
    assert client.post("/app/sign-in", {"token": tokens.mint("alice")}).status_code == 403
    client.cookies["omi_app"] = tokens.mint("alice")
    for path in paths(memory_id=memory.id, person_id="p", webhook_id="w", kind="day", day="2026-11-20"):
        assert client.post(path, {"title": "theirs", "word": "DELETE"}).status_code in (403, 405), path
    assert repository.get_memory("alice", memory.id).structured.title == "Boat trip"


def test_signing_out_forgets_the_token(alice: Visitor) -> None:
    assert alice.post("/app/sign-out").status_code == 302
    assert alice.get("/app").status_code == 302


def test_the_live_page_gets_a_token_that_lives_minutes(alice: Visitor, bob: Visitor) -> None:
    answer = alice.post("/app/live/token")
    told = tokens.read(answer.json()["token"])
    assert told.uid == "alice"
    assert 0 < told.expires_at - time.time() <= 600
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert alice.get("/app/live/token").status_code == 405


def test_pages_count_to_the_users_rate(alice: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OMI_REQUESTS_PER_MINUTE", 1)
    answers: list[Any] = [alice.get("/app/people").status_code for _ in range(4)]
    assert 429 in answers
