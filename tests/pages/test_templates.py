"""Summary templates on the pages."""

from __future__ import annotations

from collections.abc import Callable

from memories.document_parts import AppliedTemplate, Point, Section
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.shapes import Memory, Structured
from memories.templates import store
from tests.pages.conftest import Visitor

Make = Callable[..., Memory]


def test_templates_are_made_changed_given_to_a_category_and_deleted(alice: Visitor) -> None:
    lines = "Boats: boats: and sails\r\n\r\nBread\r\n"
    assert alice.post("/app/templates", {"name": "Harbour", "sections": lines}).status_code == 302
    (own,) = store.own("alice")
    assert [(item.heading, item.instruction) for item in own.sections] == [("Boats", "boats: and sails"), ("Bread", "")]
    alice.post("/app/templates/default", {"category": "travel", "template": own.id})
    shown = alice.get("/app/templates").content.decode()
    assert '<span class="chip">travel</span>' in shown
    assert "Boats: boats: and sails" in shown
    alice.post(f"/app/templates/{own.id}/change", {"name": "Port", "sections": "Ships"})
    assert [item.name for item in store.own("alice")] == ["Port"]
    assert alice.post("/app/templates/meeting/change", {"name": "x", "sections": "y"}).status_code == 404
    assert alice.post("/app/templates", {"name": "x", "sections": ""}).status_code == 422
    alice.post(f"/app/templates/{own.id}/change", {"delete": "yes"})
    assert store.own("alice") == []


def test_a_memory_shows_its_sections_with_their_moments_and_takes_another_template(
    alice: Visitor, make_memory: Make
) -> None:
    sections = [Section(heading="Boats", points=[Point(text="A boat.", start=5.0)]), Section(heading="Bread")]
    used = AppliedTemplate(id="meeting", name="Meeting", method="extractive")
    memory = make_memory(structured=Structured(title="Trip", sections=sections, template=used))
    shown = alice.get(f"/app/memories/{memory.id}").content.decode()
    assert 'A boat. <a class="at" href="?t=5.0#meant">0:05</a>' in shown
    assert "Nothing was said of it." in shown
    assert alice.post(f"/app/memories/{memory.id}/template", {"template": "diary"}).status_code == 302
    assert repository.get_memory("alice", memory.id).edits.template_id == "diary"
    assert PostProcessingRun.objects.get().options["template"] == "diary"
    assert alice.post(f"/app/memories/{memory.id}/template", {"template": "st_gone"}).status_code == 404
