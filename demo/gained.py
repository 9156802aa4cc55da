"""What the user gets out of it: the passage that a search finds, an answer, the recap of the day, insights."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from demo.app import App

PATIENCE = 60.0
Json = dict[str, Any]


def collect(app: App, question: str) -> Json:
    """Asks the running servers; what a worker has not made within a minute is left empty."""
    found = app.call("GET", "/v1/search", params={"q": question, "limit": 1})["hits"]
    answer = app.call("POST", "/v1/ask", json={"question": question})
    today = datetime.now(UTC).date().isoformat()
    app.call("POST", f"/v1/recaps/day/{today}/regenerate")
    recap = _patiently(lambda: app.call("GET", f"/v1/recaps/day/{today}")["recap"])
    insights = _patiently(lambda: told if (told := app.call("GET", "/v1/insights"))["people"] else None)
    return {"question": question, "found": found, "answer": answer, "recap": recap, "insights": insights}


def _patiently(ask: Any) -> Any:
    until = time.monotonic() + PATIENCE
    while not (made := ask()) and time.monotonic() < until:
        time.sleep(1)
    return made or None


def show(console: Console, told: Json) -> None:
    """Prints it."""
    for hit in told["found"]:
        passage = hit["passage"] or {}
        console.print(f"\n[bold]The passage:[/bold] {told['question']}")
        at = f"{passage.get('start') or 0:.1f} s of “{hit['title']}”"
        console.print(f"  {at}: {passage.get('text', '')}", highlight=False, markup=False)
    console.print(f"\n[bold]Asked:[/bold] {told['question']} [dim]({told['answer']['method']})[/dim]")
    for sentence in told["answer"]["sentences"] or [{"text": "The memories do not say.", "cites": []}]:
        console.print(f"  {sentence['text']} {sentence['cites']}", highlight=False, markup=False)
    if told["recap"]:
        recap = told["recap"]
        console.print(f"\n[bold]Recap of {recap['title']}[/bold]: {len(recap['memories'])} memories")
        for name in ("decisions", "action_items", "quotes"):
            for item in recap[name][:3]:
                console.print(f"  {name}: {item.get('text') or item.get('description')}", highlight=False, markup=False)
    for voice in (told["insights"] or {}).get("people", []):
        said = f"{voice['seconds'] / 60:.1f} min, {voice['words_per_minute']:.0f} words a minute"
        console.print(f"  [bold]{voice['name'] or 'You'}[/bold]: {said}", highlight=False)
