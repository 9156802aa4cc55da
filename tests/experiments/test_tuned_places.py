"""The places that use a tunable's value: another one takes effect there, for its user and for nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from memories.experiments import deciding, tunables
from memories.experiments.models import TunedValue
from memories.pipeline.rules import acceptance
from memories.search import query
from memories.shapes import Structured
from memories.structuring import choosing, prompts
from memories.structuring.base import StructureRequest
from memories.structuring.discard import why_discard
from memories.structuring.openai import OpenAIStructurer
from omi.accounts import tokens
from omi.accounts.users import update_user, vocabulary_version
from omi.core.providers import one
from speakers import learning, policy
from transcription.audio.codecs import codec
from transcription.listen import authentication
from transcription.segments import Segment
from transcription.session.dependencies import Plan
from transcription.session.supervisor import eligible

pytestmark = pytest.mark.django_db


def put(name: str, value: Any, uid: str = "") -> None:
    deciding.apply(name, value, origin="test", why="test", actor="test", uid=uid)


def spoken(text: str) -> list[Segment]:
    return [Segment(id="s", text=text, speaker="SPEAKER_00", start=0, end=9)]


def test_a_socket_signs_in_with_the_order_and_weights_that_are_in_force(settings: Any) -> None:
    settings.OMI_LIVE = ["deepgram", "soniox"]
    update_user("u", vocabulary=["Grafana"])
    put("live_order", ["soniox", "deepgram"], uid="u")
    put("live_accuracy", {"soniox": 0.8})
    visitor = authentication._admit(tokens.mint("u"))
    assert (visitor.order, visitor.accuracy) == (("soniox", "deepgram"), {"soniox": 0.8})
    assert visitor.vocabulary == ("Grafana",)
    other = authentication._admit(tokens.mint("somebody"))
    assert (other.order, other.accuracy) == ((), {"soniox": 0.8})


class Hears:
    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def capabilities(self) -> Any:
        return self

    def hears(self, language: str) -> bool:
        return True


def test_the_order_is_of_those_that_are_configured_and_a_clients_wish_comes_first() -> None:
    vendors: Any = [Hears(name) for name in ("deepgram", "soniox", "speechmatics")]
    names = [item.name for item in eligible(vendors, "en", "", ("speechmatics", "nobody", "deepgram"))]
    assert names == ["speechmatics", "deepgram", "soniox"]
    assert next(item.name for item in eligible(vendors, "en", "soniox", ("speechmatics",))) == "soniox"
    assert [item.name for item in eligible(vendors, "en")] == ["deepgram", "soniox", "speechmatics"]


def test_a_voice_has_to_be_as_sure_as_what_is_in_force_for_its_user() -> None:
    put("speaker_accept", 0.97, uid="u")
    engine = one("voices")
    assert learning.rules_of("u", engine).accept == 0.97
    assert learning.rules_of("somebody", engine).accept == policy.ACCEPT


def test_words_weigh_in_a_search_as_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[float] = []
    monkeypatch.setattr(query, "fused", lambda near, by_words, words: weighed.append(words) or [])
    monkeypatch.setattr(query, "_by_meaning", lambda *_: {})
    put("search_words", 3.5, uid="u")
    for uid in ("u", "somebody"):
        query.ranking(uid, "ferry", 5, query.Filters())
    assert weighed == [3.5, query.WORDS]


def test_another_model_and_prompt_make_the_summary() -> None:
    assert choosing.chosen("u", "m")[0].name == "local"
    put("structurer", {"name": "openai", "model": "gpt-4o-mini", "prompt": "brief"}, uid="u")
    structurer, prompt = choosing.chosen("u", "m")
    assert isinstance(structurer, OpenAIStructurer)
    assert (structurer.model_name, prompt) == ("gpt-4o-mini", "brief")
    assert choosing.chosen("v", "m")[0].name == "local"
    request = StructureRequest(spoken("Hello."), datetime(2026, 11, 1, tzinfo=UTC))
    rules = [
        prompts.structure(replace(request, prompt=name), request.started_at, "x")[0]["content"]
        for name in ("", "brief")
    ]
    assert prompts.VARIANTS["brief"] in rules[1]
    assert prompts.VARIANTS["brief"] not in rules[0]


def test_bounds_and_small_change_follow_the_value() -> None:
    request = StructureRequest(spoken("The ferry leaves."), datetime(2026, 11, 1, tzinfo=UTC))
    assert why_discard(request, Structured())
    assert not why_discard(replace(request, discard_below=2), Structured())
    new, shown = spoken(" ".join(f"w{n}" for n in range(80))), spoken(" ".join(f"w{n}" for n in range(100)))
    regions = [(0.0, 20.0)]
    strict = {"length_ratio": 0.9, "min_coverage": 0.7}
    plain = acceptance.assess(new=new, shown=shown, live={}, regions=regions)
    assert (
        plain.accepted is acceptance.assess(new=new, shown=shown, live={}, regions=regions, **strict).accepted is True
    )
    assert acceptance.assess(new=spoken("w1"), shown=shown, live={}, regions=regions, **strict).accepted is False


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("speaker_accept", 0.5), ("speaker_accept", True), ("live_order", []), ("live_order", ["deepgram", "deepgram"]),
        ("structurer", {"name": "oracle"}), ("structurer", {"prompt": "rude"}), ("structurer", {"model": "x"}),
        ("never_worse", {"length_ratio": 0.1}), ("discard_below", 20), ("live_accuracy", {"nobody": 0.5}),
        ("vocabulary", [""]), ("live_order", ["deepgram"]), ("prerecorded_order", {"de": ["deepgram", "local"]}),
        ("prerecorded_order", {"de": ["nobody"]}), ("moon", 1),
    ],
)  # fmt: skip
def test_no_value_out_of_bounds_comes_into_force(name: str, wrong: Any) -> None:
    with pytest.raises(tunables.BadValue):
        put(name, wrong)
    assert not TunedValue.objects.exists()


def test_every_default_is_a_value_that_may_be_in_force() -> None:
    for name, tunable in tunables.TUNABLES.items():
        if tunable.default() not in ({}, []):
            tunables.checked(name, tunable.default())


def test_a_session_names_the_version_of_the_words_that_it_hands_on() -> None:
    plan = Plan(uid="u", codec=codec("pcm16"), vocabulary=("Grafana", "Nora"))
    assert plan.vocabulary_version == vocabulary_version(["Grafana", "Nora"]) != vocabulary_version(["Nora"])
    assert Plan(uid="u", codec=plan.codec).vocabulary_version == ""
