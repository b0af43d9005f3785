"""What the manifest of a chain says of its steps."""

from pydantic import Field

from models.terms import Text


class Within(Text):
    """Where a step works: around what an earlier step found.

    A label or a box is named by its name, all of that name together, or by its number: a label's is its value, a box's
    its place among the boxes, from 1.
    """

    step: int = Field(ge=1)  # the earlier one, from 1
    what: str | int
    margin_mm: float = Field(ge=0)  # in every direction, as far as the image goes


class Step(Text):
    """A package that is asked, the one with this version and these weights alone."""

    package: str
    version: str
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    manifest_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")  # as `isocenter models show` says it
    within: Within | None = None  # the whole image for the first step, and for no other
    tell: bool | tuple[str, ...] | None = None  # all, nothing, or what has these names; by default the last tells all
