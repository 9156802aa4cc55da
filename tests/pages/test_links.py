"""Links on the pages: made with what was chosen, shown once, ended."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.test import Client

from memories.links.models import SharedLink
from memories.shapes import Memory
from omi.stores import audio
from tests.api.conftest import segment
from tests.pages.conftest import Visitor
from tests.support import sound

Make = Callable[..., Memory]


def test_a_link_is_made_shown_once_and_ended(alice: Visitor, make_memory: Make) -> None:
    spoken = [segment("s0", "I say this.", "SPEAKER_00", 0, 2, is_user=True)]
    memory = make_memory(transcript_segments=spoken)
    path = f"/app/memories/{memory.id}/links"
    assert "Your own voice" not in alice.get(path).content.decode()
    audio.put("alice", "recording", sound.tone(2), memory_id=memory.id, keep_for=None)
    assert "Your own voice" in alice.get(path).content.decode()
    made = alice.post(path, {"fields": ["title", "transcript"], "audio": "yes", "days": "3"}).content.decode()
    url = re.search(r"<code>(https?://[^<]+/v1/shared/[^<]+)</code>", made)
    assert url
    shown = Client().get(url.group(1)).json()
    assert (shown["title"], shown["overview"], shown["audio"]) == ("Boat trip", None, True)
    later = alice.get(path).content.decode()
    assert url.group(1) not in later
    assert "opened 1 time" in later
    link = SharedLink.objects.get()
    assert alice.post(f"{path}/{link.id}/end").status_code == 302
    assert Client().get(url.group(1)).status_code == 404
    assert alice.post(f"{path}/{link.id}/end").status_code == 404
    for form in ({"fields": [], "days": "3"}, {"fields": ["place"], "days": "3"}, {"fields": ["title"], "days": "x"},
                 {"fields": ["title"], "days": "366"}):  # fmt: skip
        assert alice.post(path, form).status_code == 422, form
