"""Erased means erased, in every store: looked for by the project's own command and past it."""

from __future__ import annotations

import pytest

from demo.app import App
from demo.servers import DemoError
from tests.cloud.deployment import Deployment
from tests.cloud.journey import Journey

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def leaver(detour: Journey) -> Journey:
    """Somebody who was heard, post-processed and is known by voice."""
    return detour


def test_an_erased_memory_leaves_no_document_vector_or_recording(cloud: Deployment, leaver: Journey) -> None:
    """The original deleted a vector under another id than it wrote, and left the audio."""
    identity = f"{leaver.uid}-{leaver.memory_id}"
    before = cloud.objects()
    assert cloud.vectors([identity])
    answer = leaver.app.http.delete(f"/v1/memories/{leaver.memory_id}")
    assert answer.status_code in (200, 204), answer.text
    for path in ("", "/transcripts", "/emotions", "/post-processing", "/recording/audio"):
        leaver.app.call("GET", f"/v1/memories/{leaver.memory_id}{path}", expect=404)
    assert cloud.vectors([identity]) == {}
    left = cloud.documents_of(leaver.uid)
    assert left, "the user is still there"
    assert not [path for path in left if leaver.memory_id in path]
    said = "thousand dollars"
    assert not [path for path, data in left.items() if said in repr(data)]
    assert len(cloud.objects()) < len(before)
    assert leaver.app.call("POST", "/v1/memories/search", json={"query": "water pipes"})["hits"] == []


def test_an_erased_account_is_gone_from_every_store_and_its_token_with_it(cloud: Deployment, leaver: Journey) -> None:
    cloud_before = cloud.objects()
    leaver.app.call("DELETE", "/v1/users/delete-account")
    verify = f"from django.core.management import call_command; call_command('erase_user', '{leaver.uid}', '--verify')"
    assert "nothing of this user is left" in cloud.printed(verify)
    assert cloud.documents_of(leaver.uid) == {}
    assert len(cloud.objects()) < len(cloud_before), "the voice samples were in the bucket"
    assert not [path for path in cloud.running.folder.rglob("*") if leaver.uid in path.name]
    leaver.app.call("GET", "/v1/memories", expect=401)


def test_verify_finds_what_somebody_else_wrote(cloud: Deployment) -> None:
    """The proof asks the stores themselves: a document that no row of ours knows is found."""
    uid, _ = cloud.sign_in("ghost")
    cloud.firestore.document(f"users/{uid}/memories/left-behind").set({"id": "left-behind"})
    with pytest.raises(DemoError, match=r"still there.*documents"):
        cloud.running.manage("erase_user", uid, "--verify")
    cloud.printed(f"from django.core.management import call_command; call_command('erase_user', '{uid}', '--yes')")
    assert cloud.documents_of(uid) == {}


def test_others_keep_theirs(cloud: Deployment, journey: Journey, leaver: Journey) -> None:
    app: App = journey.app
    assert app.call("GET", f"/v1/memories/{journey.memory_id}")["id"] == journey.memory_id
    assert cloud.vectors([f"{journey.uid}-{journey.memory_id}"])
