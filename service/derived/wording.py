"""Findings in words and numbers, the same in every picture and document."""

from dataclasses import dataclass

from models.findings import Box, Change, Findings, Measurement, Point, Prediction, Region, Score
from models.terms import Code

_UNITS = {"[hnsf'U]": "HU", "1": "", "cm3": "ml", "cm3/a": "ml a year"}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: what it is of, its main number, and more numbers in words."""

    name: str
    amount: str
    more: str = ""


def volume(ml: float) -> str:
    """Millilitres, with more digits the fewer they are."""
    digits = 1 if ml >= 10 else 2 if ml >= 0.1 else 4
    return f"{ml:.{digits}f} ml"


def percent(probability: float) -> str:
    """A probability in whole percent; what is neither certain nor impossible does not look so."""
    whole = round(100 * probability)
    if whole == 100 and probability < 1:
        return ">99 %"
    return "<1 %" if whole == 0 and probability > 0 else f"{whole} %"


def number(measured: Measurement) -> str:
    """A value with its unit and uncertainty."""
    unit = _UNITS.get(measured.unit.value, measured.unit.value)
    spread = "" if measured.uncertainty is None else f" +- {measured.uncertainty:.3g}"
    return f"{measured.value:.4g}{spread} {unit}".rstrip()


def measurement(measured: Measurement) -> str:
    """A number with its name."""
    derivation = f", {_lower(measured.derivation)}" if measured.derivation else ""
    return f"{measured.name.meaning}{derivation} {number(measured)}"


def region_line(region: Region) -> Line:
    """A structure with its volume, or that it was not found."""
    if not region.voxels:
        return Line(region.name, "not found")
    more = [measurement(each) for each in region.measurements]
    more += [f"probability {percent(region.probability)}"] if region.probability is not None else []
    return Line(region.name, volume(region.volume_ml), "; ".join([*filter(None, [region.location]), *more]))


def score_line(score: Score) -> Line:
    """A class with its probability and what the operating point makes of it."""
    judged = "positive" if score.is_positive else "negative"
    more = f"{judged}: operating point {percent(score.operating_point)}"
    return Line(score.term.name, percent(score.probability), more)


def marks(findings: Findings) -> list[Box | Point]:
    """Boxes, then points."""
    return [*findings.boxes, *findings.points]


def mark_line(mark: Box | Point) -> Line:
    """A box or a point with its probability and place."""
    probability = "" if mark.probability is None else percent(mark.probability)
    more = [measurement(each) for each in mark.measurements] if isinstance(mark, Box) else []
    return Line(mark.term.name, probability, "; ".join([*more, place(mark)]))


def change_line(change: Change) -> Line:
    """A measurement now, and what it was before."""
    before = f"{change.measured_before_on}: {number(change.before)}"
    size = [_lower(change.size)] if change.size else []
    said = [change.after.name.meaning, before, *size, *map(_signed, change.differences), *filter(None, [change.remark])]
    return Line(change.term.name, number(change.after), "; ".join(said))


def time_of(prediction: Prediction) -> str:
    """When a prediction is for."""
    return f"{prediction.weeks} weeks after {prediction.after}"


def predicted_from(prediction: Prediction) -> str:
    """That it was not measured, and what it rests on."""
    return f"Predicted, not measured; from {prediction.basis}, of {prediction.after}."


def prediction_line(prediction: Prediction) -> Line:
    """A quantity as it is expected to be, and when."""
    name = f"{prediction.term.name}, predicted"
    return Line(name, number(prediction.measurement), f"{time_of(prediction)}; from {prediction.basis}")


def mark_name(mark: Box | Point) -> str:
    """A box or a point as it is labelled in a picture."""
    return mark.term.name if mark.probability is None else f"{mark.term.name} {percent(mark.probability)}"


def place(mark: Box | Point) -> str:
    """Where a box or a point is: pixels of a radiograph, LPS mm of a volume."""
    corners = (mark.low, mark.high) if isinstance(mark, Box) else (mark.at,)
    names, unit = (("row", "column"), "") if len(corners[0]) == 2 else (("x", "y", "z"), " mm (LPS)")
    spans = [" to ".join(f"{corner[axis]:.0f}" for corner in corners) for axis in range(len(names))]
    return ", ".join(f"{name} {span}" for name, span in zip(names, spans, strict=True)) + unit


def lines(findings: Findings) -> list[Line]:
    """Everything that was found or looked for, in the order of the findings."""
    return [
        *map(region_line, findings.regions),
        *map(score_line, findings.scores),
        *map(mark_line, marks(findings)),
        *(Line(each.name.meaning, number(each)) for each in findings.measurements),
        *map(change_line, findings.changes),
        *map(prediction_line, findings.predictions),
        *([Line("Earlier studies", "", findings.not_compared)] if findings.not_compared else []),
    ]


def absent(findings: Findings) -> str:
    """What was looked for and not found, as a sentence; empty where there is nothing of that kind."""
    names = [region.name for region in findings.regions if not region.voxels]
    if not is_anything(findings):
        names += [score.term.name for score in findings.scores]
    return f"Looked for, not found: {', '.join(names)}." if names else ""


def is_anything(findings: Findings) -> bool:
    """True when there is something that a person should look at."""
    return bool(findings.found or marks(findings) or any(score.is_positive for score in findings.scores))


def _signed(difference: Measurement) -> str:
    return f"{'+' if difference.value > 0 else ''}{number(difference)}"


def _lower(code: Code) -> str:
    return code.meaning.lower()
