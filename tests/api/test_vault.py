"""A user's memories as linked Markdown notes: whole, and what changed since."""

from __future__ import annotations

import asyncio
import io
import json
import os
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from memories import vault
from memories.api import downloads as api
from memories.search import word_index
from memories.shapes import Memory, Structured
from omi.accounts.users import update_user
from speakers import people
from tests.api.conftest import Caller
from transcription.segments import Segment

Make = Callable[..., Memory]
URL = "/v1/users/vault"


@pytest.fixture(autouse=True)
def _exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor lies some minutes back, for writes that are under way; here none is."""
    monkeypatch.setattr(vault, "OVERLAP", timedelta(0))


def unpacked(caller: Caller, since: str = "") -> tuple[dict[str, str], dict[str, Any]]:
    """The notes by name, and what ``vault.json`` tells."""
    answer = caller.client.get(URL, {"since": since} if since else {})
    assert answer.status_code == 200, answer.content
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer)))
    assert archive.testzip() is None
    notes = {name: archive.read(name).decode() for name in archive.namelist() if "/" in name}
    return notes, json.loads(archive.read("vault.json"))


def matter(note: str) -> dict[str, Any]:
    """The front matter; its values are JSON, which every reader of YAML takes."""
    lines = note.split("\n")
    assert lines[0] == "---"
    return {
        key: json.loads(value) for key, _, value in (line.partition(": ") for line in lines[1 : lines.index("---", 1)])
    }


@pytest.fixture
def told(alice: Caller, make_memory: Make) -> dict[str, str]:
    """Three memories; in two of them Anna speaks. Keys to ids, Anna's among them."""
    anna = people.create_person("alice", "Anna [B]").id
    spoken = [Segment(text="The boat leaves at nine.", speaker="SPEAKER_01", person_id=anna, start=0, end=3)]
    made = {
        "boat": make_memory(structured=Structured(title="Boat\n---\nevil: 1"), transcript_segments=spoken),
        "island": make_memory(structured=Structured(title="Island"), transcript_segments=spoken),
        "alone": make_memory(structured=Structured(title="Alone")),
    }
    word_index.refresh("alice")
    return {"anna": anna, **{key: memory.id for key, memory in made.items()}}


def of(notes: dict[str, str], memory_id: str) -> str:
    [name] = [name for name in notes if memory_id in name]
    return notes[name]


def test_every_memory_and_person_is_a_note_that_links_to_the_others(alice: Caller, told: dict[str, str]) -> None:
    notes, listed = unpacked(alice)
    assert sorted(notes) == listed["notes"]
    assert len(notes) == 4
    boat = of(notes, told["boat"])
    assert matter(boat) | {"date": ""} == {
        "id": told["boat"], "date": "", "aliases": ["Boat --- evil: 1"], "category": "other", "language": "en",
        "people": [f"[[people/{told['anna']}]]"],
    }  # fmt: skip
    assert "The boat leaves at nine\\." in boat or "The boat leaves at nine." in boat
    assert f"[[people/{told['anna']}|Anna  B ]]" in boat
    anna = notes[f"people/{told['anna']}.md"]
    assert anna.count("- [[memories/") == 2
    linked = {line[4:-2] + ".md" for line in anna.splitlines() if line.startswith("- [[")}
    assert linked < set(notes), "every link leads to a note"


def test_an_archive_since_a_cursor_holds_what_changed_and_says_what_is_gone(
    alice: Caller, bob: Caller, told: dict[str, str]
) -> None:
    _, first = unpacked(alice)
    nothing, second = unpacked(alice, first["cursor"])
    assert [name for name in nothing if name.startswith("memories/")] == []
    assert second["notes"] == first["notes"]

    assert alice.send("PATCH", f"/v1/memories/{told['alone']}", {"title": "Not alone"}).status_code == 200
    alice.delete(f"/v1/memories/{told['island']}")
    changed, third = unpacked(alice, second["cursor"])
    assert [told["alone"] in name for name in changed if name.startswith("memories/")] == [True]
    assert "Not alone" in of(changed, told["alone"])
    assert {name for name in second["notes"] if name not in third["notes"]} == {
        name for name in second["notes"] if told["island"] in name
    }

    people.rename_person("alice", told["anna"], "Anne")
    renamed, fourth = unpacked(alice, third["cursor"])
    assert "Anne" in of(renamed, told["boat"])
    update_user("alice", name="Alice the Great")
    everything, _ = unpacked(alice, fourth["cursor"])
    assert len([name for name in everything if name.startswith("memories/")]) == 2
    assert unpacked(bob)[0] == {}


@pytest.mark.parametrize("since", ["yesterday", "2026-11-29T10:00:00~12345678", "2026-11-29T10:00:00+00:00~1"])
def test_what_is_no_cursor_is_refused(alice: Caller, since: str) -> None:
    answer = alice.client.get(URL, {"since": since})
    assert (answer.status_code, "cursor" in answer.json()["detail"]) == (422, True)
    with api.EXPORTS.held("alice", per_user=1, in_all=1):
        """What was refused left its place."""


@pytest.mark.django_db(transaction=True)
def test_a_reader_who_leaves_half_way_gives_the_place_back(make_memory: Make) -> None:
    for number in range(4):
        words = [Segment(text=os.urandom(4000).hex(), speaker="SPEAKER_00", start=at, end=at + 1) for at in range(40)]
        make_memory(structured=Structured(title=f"Long {number}"), transcript_segments=words)

    async def leave() -> int:
        answer = await sync_to_async(api.vault_of)("alice")
        pieces = aiter(answer)
        got = len(await anext(pieces))
        await pieces.aclose()
        await sync_to_async(answer.close)()  # as Django does where the reader has left
        return got

    assert asyncio.run(leave()) < 400_000
    assert api.EXPORTS._taken == set()


def test_folder_tags_and_comments_are_in_the_notes_and_a_new_name_makes_them_anew(
    told: dict[str, str], alice: Caller
) -> None:
    boat = told["boat"]
    folder = alice.send("POST", "/v1/labels", {"kind": "folder", "name": "Harbour: north"}).json()["id"]
    tag = alice.send("POST", "/v1/labels", {"kind": "tag", "name": "two words"}).json()["id"]
    alice.send("PATCH", f"/v1/memories/{boat}/labels", {"folder_id": folder, "tag_ids": [tag]})
    alice.send("POST", f"/v1/memories/{boat}/comments", {"text": "# Ask *Bob*"})
    notes, first = unpacked(alice)
    assert (matter(of(notes, boat))["folder"], matter(of(notes, boat))["tags"]) == ("Harbour: north", ["two-words"])
    assert r"\# Ask \*Bob\*" in of(notes, boat)
    assert "folder" not in matter(of(notes, told["alone"]))
    alice.send("PATCH", f"/v1/labels/{folder}", {"name": "South"})
    assert matter(of(unpacked(alice, first["cursor"])[0], boat))["folder"] == "South"
