"""What manifests and findings are said with: texts that refuse unknown keys, codes, spans."""

from pydantic import BaseModel, ConfigDict, model_validator

Triple = tuple[float, float, float]


class Text(BaseModel):
    """Text from outside: unknown keys are refused and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Code(Text):
    """A coded concept (PS3.16): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


class Span(Text):
    """A closed interval; a missing end is open."""

    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> "Span":
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"nothing lies between {self.minimum:g} and {self.maximum:g}")
        return self

    def holds(self, value: float) -> bool:
        """True when `value` lies inside."""
        above = self.minimum is None or value >= self.minimum
        return above and (self.maximum is None or value <= self.maximum)

    def __str__(self) -> str:
        if self.minimum is None:
            return f"at most {self.maximum:g}" if self.maximum is not None else "anything"
        return f"at least {self.minimum:g}" if self.maximum is None else f"{self.minimum:g} to {self.maximum:g}"


class Term(Text):
    """What a model speaks of: codes as PS3.3 C.8.20.2 wants them, and a colour."""

    name: str
    category: Code
    type: Code
    modifier: Code | None = None  # which part of the type, where two share one
    color_rgb: tuple[int, int, int]

    @property
    def term(self) -> "Term":
        """What it is, without what a kind of model adds."""
        return Term(**{name: getattr(self, name) for name in Term.model_fields})
