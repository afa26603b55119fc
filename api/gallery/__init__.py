"""The templates that come with a release: one YAML file each, with its cases (`*.test.yaml`) beside it.

They are whole workflows as `perdure workflows push` takes them, without a header, so that each copy gets its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from domain.definitions import files

HERE: Final = Path(__file__).parent
#: In the order in which a firm meets them.
SLUGS: Final = (
    "client-onboarding",
    "tax-return-preparation",
    "invoice-reminder",
    "document-approval",
    "kyc-follow-up",
)


@dataclass(frozen=True, slots=True)
class Shipped:
    """`text` is the file as people read it; `parts` hold what a workflow's row has under the same names."""

    slug: str
    text: str
    parts: Mapping[str, Any]


@cache
def shipped() -> Mapping[str, Shipped]:
    """By slug, in the order of the gallery."""
    return {slug: _read(slug) for slug in SLUGS}


def _read(slug: str) -> Shipped:
    text = (HERE / f"{slug}.yaml").read_text(encoding="utf-8")
    found = files.read(text)
    if found.is_bare or found.problems:
        raise RuntimeError(f"{slug}.yaml is no whole workflow: {found.problems}")
    return Shipped(slug, text, {**files.FIELDS, **found.parts})
