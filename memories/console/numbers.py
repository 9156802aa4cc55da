"""Numbers and names as pages show them."""

from __future__ import annotations


def percent(share: float | None) -> str:
    """Return a share in per cent: ``99.3 %`` of 0.993; never 100 % of what is not all."""
    if share is None:
        return "–"
    if 0.999 < share < 1:
        return "99.9 %"
    return f"{share * 100:.1f} %".replace(".0 %", " %")


def words(name: str) -> str:
    """Return a code such as ``same_failure`` as ``same failure``."""
    return name.replace("_", " ")
