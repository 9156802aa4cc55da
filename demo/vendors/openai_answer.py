"""The simulated language model: an object that fits a JSON schema, made from the transcript in the prompt.

Rules, not intelligence: titles are the transcript's most frequent words, overviews its first sentences, action items
its sentences that sound like one. So a result depends on what was said, and the same prompt gives the same answer.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

STOP = set(
    "a about after all also am an and any are as at be been but by can could did do does for from get go had"
    " has have he her here him his how i if in into is it its just know let like me more my no not now of on"
    " one or our out she so some than that the their them then there they this to up us very was we well were"
    " what when which who will with would yeah yes you your okay speaker user um uh".split()
)
TODO = re.compile(
    r"\b(i will|i'll|we will|we'll|i need to|we need to|need to|have to|must|remember to|don't forget|remind me|todo|"
    r"please send|make sure)\b",
    re.I,
)
DATE = re.compile(r"\b(tomorrow|tonight|monday|tuesday|wednesday|thursday|friday|saturday|sunday|appointment|meeting|"
                  r"next week|o'clock|\d{1,2}:\d{2}|\d{1,2} ?[ap]m)\b", re.I)  # fmt: skip
ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?")
TURN = re.compile(
    r"^\s*(?:\[[^\]]*\]\s*)?(?:speaker[ _]?\d+|user|you|[A-Z][\w'-]{0,30})\s*(?:\([^)]*\))?:\s*(.+)$", re.I
)
TOPICS = {
    "health": "doctor pain medicine hospital sleep exercise diet",
    "finance": "money bank invoice budget loan salary tax",
    "work": "project deadline client manager office meeting team release",
    "technology": "software computer code server phone app robot",
    "education": "school teacher exam lesson university homework",
    "family": "mother father sister brother children grandmother son daughter",
    "sports": "match football team goal score race running",
    "entertainment": "film movie show series concert game",
    "science": "experiment theory physics biology cell planet",
    "politics": "president country election government vote law",
    "romantic": "love date kiss marry",
    "travel": "flight hotel airport train trip",
    "music": "song guitar piano album melody",
    "psychology": "anxiety fear therapy feeling anxious",
    "philosophy": "meaning truth ethics soul",
    "spiritual": "god prayer church",
    "personal": "myself home weekend friend",
}


def transcript_of(prompt: str) -> str:
    """The transcript inside a prompt: a tagged or fenced block, else its speaker lines, else the whole of it."""
    tagged = re.findall(r"<(\w*(?:transcript|conversation)\w*)[^>]*>(.*?)</\1>", prompt, re.S | re.I)
    fenced = re.findall(r"```(?:\w+\n)?(.*?)```|\"\"\"(.*?)\"\"\"", prompt, re.S)
    block = "\n".join(t for _, t in tagged) or "\n".join(a or b for a, b in fenced) or prompt
    turns = [m.group(1) for line in block.splitlines() if (m := TURN.match(line))]
    return "\n".join(turns) if turns else block.strip()


def sentences(text: str) -> list[str]:
    return [s.strip() for s in re.split(r"(?<=[.!?])\s+|\n+", text) if s.strip()]


def keywords(text: str, count: int = 4) -> list[str]:
    """The most frequent words that mean something, in order of first appearance."""
    words = [w for w in re.findall(r"[^\W\d_][\w'-]+", text.lower()) if w not in STOP and len(w) > 2]
    top = {w for w, _ in Counter(words).most_common(count)}
    return [w for w in dict.fromkeys(words) if w in top]


def _category(text: str, choices: list[Any]) -> Any:
    words = Counter(re.findall(r"\w+", text.lower()))

    def score(choice: Any) -> int:
        name = str(choice).lower()
        return 2 * words[name] + sum(words[w] for w in TOPICS.get(name, "").split())

    best = max(choices, key=score)
    if score(best):
        return best
    return next((c for c in choices if str(c).lower() in ("other", "unknown", "none")), choices[0])


class _Builder:
    def __init__(self, schema: dict[str, Any], transcript: str, prompt: str) -> None:
        self.defs = schema.get("$defs", {})
        self.text, self.prompt = transcript, prompt

    def make(self, schema: dict[str, Any], name: str, source: str) -> Any:
        """A value for ``schema``; ``source`` is the piece of transcript that it is about."""
        if "$ref" in schema:
            return self.make(self.defs[schema["$ref"].rsplit("/", 1)[-1]], name, source)
        if "anyOf" in schema:
            real = [s for s in schema["anyOf"] if s.get("type") != "null"]
            return self.make(real[0], name, source) if real else None
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return _category(source, schema["enum"])
        kind = schema.get("type", "string")
        kind = next((k for k in kind if k != "null"), "null") if isinstance(kind, list) else kind
        if kind == "object":
            return {k: self.make(v, k, source) for k, v in schema.get("properties", {}).items()}
        if kind == "array":
            return self._array(schema, name, source)
        if kind == "boolean":
            few = len(re.findall(r"\w+", self.text)) < 5
            return ("discard" in name and few) or ("keep" in name and not few)
        if kind in ("integer", "number"):
            value = 30 if "duration" in name or "minute" in name else 0.75 if kind == "number" else 1
            value = max(value, schema.get("minimum", value))
            return min(value, schema.get("maximum", value))
        return None if kind == "null" else self._string(schema, name, source)

    def _array(self, schema: dict[str, Any], name: str, source: str) -> list[Any]:
        every = sentences(source)
        if re.search(r"action|todo|task|item", name):
            picked = [s for s in every if TODO.search(s)]
        elif re.search(r"event|calendar", name):
            picked = [s for s in every if DATE.search(s)]
        elif re.search(r"topic|keyword|tag", name):
            picked = keywords(source)
        else:
            picked = every[:2]
        least, most = schema.get("minItems", 0), min(schema.get("maxItems", 10), 10)
        while len(picked) < least:
            picked.append(source or "nothing")
        return [self.make(schema.get("items", {"type": "string"}), name, s) for s in picked[:most]]

    def _string(self, schema: dict[str, Any], name: str, source: str) -> str:
        if schema.get("format") in ("date-time", "date") or re.search(r"start|when|date|time", name):
            found = ISO.search(self.prompt)
            moment = found.group(0) if found else "2026-11-23T10:00:00Z"
            return moment[:10] if schema.get("format") == "date" else moment
        if "emoji" in name:
            return "🗣️" if source else "🤷"
        if "lang" in name:
            return "en"
        if re.search(r"title|name|headline", name):
            made = " ".join(keywords(source)).title() or "Quiet Moment"
        elif re.search(r"overview|summary", name):
            made = " ".join(sentences(source)[:3])[:600] or "Nothing was said."
        else:
            made = source[:300]
        return made[: schema.get("maxLength", 10_000)].ljust(schema.get("minLength", 0), ".")


def instance(schema: dict[str, Any], transcript: str, prompt: str = "") -> Any:
    """A value that fits ``schema`` and is about ``transcript`` (``prompt`` gives dates)."""
    return _Builder(schema, transcript, prompt).make(schema, "answer", transcript)
