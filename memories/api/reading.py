"""Reading a request into pydantic models: query and body, with FastAPI's 422 for what does not fit."""

from __future__ import annotations

from typing import Any, TypeVar

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from rest_framework.request import Request

from memories.api.errors import ApiError, fastapi_errors, invalid
from memories.pipeline import service

M = TypeVar("M", bound=BaseModel)


class Query(BaseModel):
    """Base of query parameters. The app sends the literal ``null`` for a value that it has not."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _nulls(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value not in ("null", "")}


def query(model: type[M], request: Request) -> M:
    """The query string as ``model``; the last of a repeated name counts."""
    try:
        return model.model_validate(dict(request.query_params.items()))
    except ValidationError as error:
        raise ApiError(422, fastapi_errors(error, "query")) from error


def body(model: type[M], request: Request) -> M:
    """The JSON body as ``model``."""
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if declared.isdigit() and int(declared) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise ApiError(413, f"The body may have at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes")
    data = request.data
    if not isinstance(data, dict):
        raise invalid(("body",), "Input should be a JSON object", "model_attributes_type")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ApiError(422, fastapi_errors(error, "body")) from error


def idempotency_key(request: Request) -> str | None:
    """The ``Idempotency-Key`` of a request; None where it has none."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (key.strip() and len(key) <= service.KEY_LENGTH):
        raise invalid(("header", "Idempotency-Key"), f"1 to {service.KEY_LENGTH} characters", "string_too_long")
    return key


def key_parameter(description: str) -> OpenApiParameter:
    """The ``Idempotency-Key`` for the OpenAPI document."""
    return OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description=description)


def parameters(model: type[BaseModel]) -> list[OpenApiParameter]:
    """The fields of a query model for the OpenAPI document."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    required = set(schema.get("required", ()))
    return [
        OpenApiParameter(
            name,
            type={key: value for key, value in field.items() if key not in ("title", "description")},
            location=OpenApiParameter.QUERY,
            required=name in required,
            description=field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]
