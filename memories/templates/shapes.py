"""A summary template: a name and sections."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

MOST_SECTIONS: Final = 12
LONGEST_NAME: Final = 60
"""Characters of a template's name, and of a heading."""
SECTIONS_ONLY: Final = "sections_only"
"""The option of a run that leaves title, overview and the rest as they are, and makes the sections anew."""


class TemplateSection(BaseModel):
    """A section of a summary template. ``instruction``: what belongs there. ``rule``: how it is found without a
    language model."""

    heading: str
    instruction: str = ""
    rule: str = "alike"


class Template(BaseModel):
    """A summary template. ``built_in``: everybody has it, and nobody changes it."""

    id: str
    name: str
    sections: list[TemplateSection] = Field(default_factory=list)
    built_in: bool = False
