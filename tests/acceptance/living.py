"""One whole day of the app in forty seconds: what several tests look at, lived through once."""

from __future__ import annotations

from typing import Any

from tests.acceptance.wire import App, listen
from tests.support import sound

SECONDS = 24
"""Of the bundled talk: the voices of two people, and a third that begins."""


ENOUGH = 20
"""Words that the socket has brought before the conversation is ended."""


def heard(messages: list[Any]) -> int:
    """Words in everything that the socket has said so far."""
    spoken = [item["text"] for message in messages if isinstance(message, list) for item in message]
    return len(" ".join(spoken).split())


def live(app: App, talk: bytes) -> dict[str, Any]:
    """Enrol, stream, close, wait for the memory, post-process it, and hand over everything that was answered."""
    piece = talk[: SECONDS * 32000]
    person = app.post("/v1/users/people", json={"name": "David"})
    assert person.status_code == 200, person.text
    assert app.post("/v1/users/store-recording-permission?value=true").status_code == 200
    with listen(app.url, app.token) as socket:
        for start in range(0, len(piece), 3200):
            socket.send(piece[start : start + 3200])
        # On a busy machine the words are late: what is looked at below are the messages that bring them.
        socket.until(lambda _: heard(socket.messages) > ENOUGH, seconds=100)
        socket.send('{"type": "finish"}')
        created = socket.event("new_memory_created", seconds=90)
    memory_id = created["memory_id"]
    answer = app.upload(f"/v1/memories/{memory_id}/post-processing?emotional_feedback=true", sound.wav(piece))
    ended = app.events({"memory_post_processing_success", "memory_post_processing_failed"}, seconds=120)
    return {
        "app": app,
        "person": person.json(),
        "messages": socket.messages,
        "created": created,
        "accepted": answer,
        "ended": ended,
        "memory_id": memory_id,
        "memory": app.get(f"/v1/memories/{memory_id}").json(),
    }
