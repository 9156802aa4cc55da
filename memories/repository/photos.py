"""Photos of a memory: a sub-collection beside its document, as the original has them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pydantic import ValidationError

from memories.shapes import Photo
from omi.stores import damaged
from omi.stores.documents import documents
from omi.stores.documents.base import Data


def photos_of(where: str) -> list[Photo]:
    """Return the photos of the memory whose document is ``where``, in their order; a damaged one costs itself only."""
    photos: list[tuple[float, str, Photo]] = []
    for document in documents().query(f"{where}/photos"):
        try:
            index = document.data.get("index", 0)
            place = float(index) if isinstance(index, int | float) else 0.0
            photos.append((place, document.id, Photo.model_validate(document.data)))
        except ValidationError as error:
            damaged.report(document.path, error)
    return [photo for *_, photo in sorted(photos, key=lambda item: item[:2])]


def photo_documents(where: str, memory_id: str, photos: Sequence[Data]) -> dict[str, Data]:
    """Photos as documents by their paths. The same memory made twice has the same ones."""
    named = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{memory_id}/photo/{number}")) for number in range(len(photos))]
    return {
        f"{where}/photos/{name}": {**photo, "id": name, "index": number}
        for number, (name, photo) in enumerate(zip(named, photos, strict=True))
    }
