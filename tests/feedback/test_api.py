"""``/v1/feedback``, ``/v1/users/improvement``, ``/v1/users/vocabulary``: the owner's, nobody else's, within bounds."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from memories import editing, upkeep
from memories.feedback import corrections, reports
from memories.feedback.models import LabelledCase, Report
from memories.privacy import erasure, export
from memories.vocabulary import terms
from tests.api.conftest import Caller, alice, bob, make_memory

__all__ = ["alice", "bob", "make_memory"]

F = "/v1/feedback"


def said(memory: Any, **more: Any) -> dict[str, Any]:
    return {"part": "summary", "memory_id": memory.id, "thumb": "down", **more}


def test_a_thumb_is_one_a_part_and_the_second_replaces_it(alice: Caller, make_memory: Callable[..., Any]) -> None:
    memory = make_memory()
    first = alice.send("POST", F, said(memory, reasons=["invented", "invented"], text=" Nobody said that. "))
    assert first.status_code == 200, first.content
    again = alice.send("POST", F, said(memory, thumb="up", audio_consent=True))
    assert again.json()["id"] == first.json()["id"]
    [shown] = alice.get(F).json()
    assert (shown["thumb"], shown["reasons"], shown["audio_consent"]) == ("up", [], True)
    assert alice.send("POST", F, said(memory, part="transcript")).json()["id"] != shown["id"]
    assert alice.delete(f"{F}/{shown['id']}").status_code == 204
    assert len(alice.get(F).json()) == 1


def test_a_stranger_finds_nothing_and_cannot_speak_of_it(
    alice: Caller, bob: Caller, make_memory: Callable[..., Any]
) -> None:
    memory = make_memory()
    made = alice.send("POST", F, said(memory)).json()
    assert bob.send("POST", F, said(memory)).status_code == 404
    assert bob.get(F).json() == []
    assert bob.get(f"{F}?before={made['id']}").status_code == 404
    assert bob.delete(f"{F}/{made['id']}").status_code == 404
    assert Report.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"part": "summary", "thumb": "up"},
        {"part": "weather", "thumb": "up"},
        {"part": "search"},
        {"part": "other", "text": "x" * 1001},
        {"part": "other", "thumb": "sideways"},
        {"part": "other", "reasons": ["wrong_words"] * 9},
    ],
)
def test_what_says_nothing_or_too_much_is_refused(alice: Caller, wrong: dict[str, Any]) -> None:
    assert alice.send("POST", F, wrong).status_code == 422
    assert not Report.objects.exists()


def test_feedback_is_bounded_by_the_day(alice: Caller, make_memory: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(reports, "MOST_PER_DAY", 2)
    memory = make_memory()
    answers = [alice.send("POST", F, said(memory, part=part)) for part in ("summary", "speakers", "emotion")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"]


def test_corrections_become_cases_only_as_the_user_permits(alice: Caller, make_memory: Callable[..., Any]) -> None:
    memory = make_memory()
    alice.send("PUT", "/v1/users/improvement", {"learning": False})
    editing.set_texts("alice", memory.id, {"title": "Island trip"})
    assert not LabelledCase.objects.exists()
    assert alice.send("PUT", "/v1/users/improvement", {"cases": True}).json() == {
        "learning": False, "cases": True, "shadow": False,
    }  # fmt: skip
    editing.set_texts("alice", memory.id, {"overview": "Anna and Ben go."})
    editing.assign_segments("alice", memory.id, ["s0"], editing.Decision(is_user=True))
    corrections.text_changed("alice", memory, memory.transcript_segments[1], "Good, call me at anna@example.org.")
    summary, speakers, text = LabelledCase.objects.order_by("created_at")
    assert (summary.machine, summary.person) == (
        {"overview": "They plan a boat trip."}, {"overview": "Anna and Ben go."}
    )  # fmt: skip
    assert (speakers.machine, speakers.person) == (
        {"is_user": False, "person_id": None}, {"is_user": True, "person_id": None}
    )  # fmt: skip
    assert text.context["shared_text"] == "Good, call me at [address]."
    assert all(case.shared for case in (summary, speakers, text))
    alice.send("PUT", "/v1/users/improvement", {"cases": False})
    assert not LabelledCase.objects.exists()  # nothing is permitted now: neither learning nor looking


def test_what_was_right_is_no_case_and_a_second_correction_keeps_what_the_machine_said(
    make_memory: Callable[..., Any],
) -> None:
    memory = make_memory()
    editing.set_texts("alice", memory.id, {"title": "Boat trip"})
    assert not LabelledCase.objects.exists()
    editing.set_texts("alice", memory.id, {"title": "Trip"})
    editing.set_texts("alice", memory.id, {"title": "Trip to the island"})
    case = LabelledCase.objects.get()
    assert (case.machine, case.person, case.shared) == ({"title": "Boat trip"}, {"title": "Trip to the island"}, False)


def test_it_goes_with_memory_and_account_and_stands_in_the_export(
    alice: Caller, make_memory: Callable[..., Any]
) -> None:
    memory, other = make_memory(), make_memory()
    for one in (memory, other):
        alice.send("POST", F, said(one))
        editing.set_texts("alice", one.id, {"title": "Another title"})
    with zipfile.ZipFile(BytesIO(export.export_user("alice").read())) as archive:
        told = json.loads(archive.read("feedback.json"))
    assert (len(told["reports"]), len(told["cases"])) == (2, 2)
    erasure.erase_memory("alice", memory.id)
    assert reports.remaining("alice") == 2
    call_command("erase_user", "alice", "--yes")
    assert reports.remaining("alice") == 0


def test_old_feedback_goes(alice: Caller, make_memory: Callable[..., Any]) -> None:
    alice.send("POST", F, said(make_memory()))
    alice.send("POST", F, {"part": "search", "reasons": ["not_found"]})
    Report.objects.filter(part="summary").update(expires_at=timezone.now() - timedelta(days=1))
    upkeep.prune()
    assert [row.part for row in Report.objects.all()] == ["search"]


def test_the_vocabulary_is_one_list_with_a_version(alice: Caller, bob: Caller) -> None:
    path = "/v1/users/vocabulary"
    assert alice.get(path).json() == {"terms": [], "learned": [], "version": ""}
    made = alice.send("PUT", path, {"terms": [" Kubernetes ", "kubernetes", "Anna  Maria", ""]}).json()
    assert made["terms"] == ["Kubernetes", "Anna Maria"]
    assert made["version"]
    terms.learn("alice", ["Grafana", "KUBERNETES"])
    shown = alice.get(path).json()
    assert (shown["terms"], shown["learned"]) == (["Kubernetes", "Anna Maria", "Grafana"], ["Grafana"])
    assert shown["version"] != made["version"]
    terms.unlearn("alice", ["Grafana", "Kubernetes"])
    assert alice.get(path).json()["terms"] == ["Kubernetes", "Anna Maria"]
    assert bob.get(path).json()["terms"] == []
    assert alice.send("PUT", path, {"terms": [f"term {number}" for number in range(101)]}).status_code == 422
