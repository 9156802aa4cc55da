"""What ``doctor`` says of the language model: that it is there, that it is gone, when it ends."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from demo.vendors.server import VendorServer
from memories.structuring.openai import OpenAIStructurer
from memories.structuring.openai_client import SOON, cost
from memories.structuring.openai_embedder import OpenAIEmbedder
from omi import doctor
from omi.core.errors import ProviderError


def ends_in(vendors: VendorServer, days: int) -> str:
    """The simulator says so of any model, once; the date."""
    date = (timezone.now() + timedelta(days=days)).date().isoformat()
    known = {"id": "m", "object": "model", "created": 1, "owned_by": "system", "shutdown_date": date}
    vendors.faults("openai", {"kind": "body", "op": "model", "text": json.dumps(known)})
    return date


def test_a_model_without_an_end_is_named(vendors: VendorServer, settings: Any) -> None:
    settings.OMI_OPENAI_MODEL = "gpt-lasting"
    assert OpenAIStructurer().about() == "gpt-lasting"
    [asked] = vendors.log("openai", "model")
    assert asked["path"] == "/openai/v1/models/gpt-lasting"


def test_the_end_of_a_model_is_told(vendors: VendorServer, settings: Any) -> None:
    settings.OMI_OPENAI_MODEL = "gpt-4o"
    date = ends_in(vendors, SOON.days + 10)
    assert OpenAIStructurer().about() == f"gpt-4o, until {date}"


def test_a_model_that_ends_soon_is_to_be_mended(vendors: VendorServer, settings: Any) -> None:
    settings.OMI_OPENAI_MODEL = "gpt-4o"
    date = ends_in(vendors, SOON.days - 1)
    with pytest.raises(ProviderError, match=rf"gpt-4o ends on {date}.* Set OMI_OPENAI_MODEL to "):
        OpenAIStructurer().about()


@pytest.mark.parametrize(
    ("model", "setting"),
    [(OpenAIStructurer(), "OMI_OPENAI_MODEL"), (OpenAIEmbedder(), "OMI_OPENAI_EMBEDDING_MODEL")],
)
def test_a_model_that_is_gone_is_to_be_mended(vendors: VendorServer, settings: Any, model: Any, setting: str) -> None:
    setattr(settings, setting, "retired-model")
    with pytest.raises(ProviderError, match=f"retired-model is missing.* Set {setting} "):
        model.about()


def test_a_server_of_ones_own_without_a_list_of_models_is_believed(vendors: VendorServer) -> None:
    vendors.faults("openai", {"kind": "body", "op": "model", "text": "404 page not found", "status": 404})
    assert "of which the server says nothing" in OpenAIStructurer().about()


@pytest.mark.parametrize("fault", [{"kind": "refuse", "status": 401}, {"kind": "html"}, {"kind": "garbage"}])
def test_a_refused_key_and_a_foreign_answer_are_findings(
    vendors: VendorServer, settings: Any, fault: dict[str, Any]
) -> None:
    settings.PROVIDERS = {"structurer": {"BACKEND": "memories.structuring.openai.OpenAIStructurer"}}
    vendors.faults("openai", {**fault, "op": "model"})
    [found] = [finding for finding in doctor.findings() if finding.name == "backend structurer"]
    assert not found.ok
    assert found.detail
    assert found.fix


def test_tokens_cost_what_the_model_does_and_an_unknown_one_is_taken_for_the_dearest() -> None:
    assert cost("gpt-6-luna", 1_000_000, 1_000_000) == 0.6
    assert cost("gpt-of-tomorrow", 1_000_000, 1_000_000) == cost("gpt-4o", 1_000_000, 1_000_000) == 12.5
    assert cost("gpt-4o", 1_000_000, 0, (1.0, 2.0)) == 1.0
    assert OpenAIStructurer(model="gpt-6-luna").cost(2_000_000, 0) == 0.2
    assert OpenAIStructurer(prices=(1.0, 2.0)).cost(0, 1_000_000) == 2.0
