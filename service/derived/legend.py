"""The legend of a sheet: what was found in which colour and how much of it, scores, and what was not found."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

from models.findings import Findings, Score
from service.derived import wording
from service.derived.drawing import FAINT, INK, PAPER, Colour, Place, shortened, write
from service.derived.page import wrap

ROW = 30
_SIZE, _TEXT, _GAP = 16, 26, 24  # of letters, from swatch to text, between columns
_FILL = 0.3
_FOUND, _BAR = (240, 180, 41), 120  # colour and length of a score's bar
_HEADLINE, _HEADLINE_SIZE = 44, 26
_MOST = 48  # rows; a longer legend is in the report
NOTHING = "Nothing was found."


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row: a swatch in the colour of what was found, or the bar of a score."""

    line: wording.Line
    colour: Colour | None = None
    score: Score | None = None


class Legend:
    """Rows in columns, then sentences over the whole width, at most `width` pixels wide."""

    def __init__(self, findings: Findings, width: int, columns: int) -> None:
        entries = _entries(findings)
        self._entries, self._hidden = entries[:_MOST], len(entries[_MOST:])
        self._width, self._columns = width, columns
        self._is_nothing = not wording.is_anything(findings)
        text = " ".join(_sentences(findings, self._hidden))
        self._sentences = wrap(text, width, _SIZE) if text else []

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        rows = -(-len(self._entries) // self._columns) + len(self._sentences)
        return rows * ROW + (_HEADLINE if self._is_nothing else 0)

    def draw(self, pen: ImageDraw.ImageDraw, at: Place) -> None:
        """The legend with its left top corner at a place."""
        left, top = at
        if self._is_nothing:
            write(pen, (left, top + _HEADLINE // 2), NOTHING, _HEADLINE_SIZE, "lm")
            top += _HEADLINE
        room = (self._width - (self._columns - 1) * _GAP) // self._columns
        for number, entry in enumerate(self._entries):
            row, column = divmod(number, self._columns)
            _draw(pen, (left + column * (room + _GAP), top + row * ROW + ROW // 2), entry, room)
        top += -(-len(self._entries) // self._columns) * ROW
        for number, text in enumerate(self._sentences):
            write(pen, (left, top + number * ROW + ROW // 2), text, _SIZE, "lm", FAINT)


def _entries(findings: Findings) -> list[_Entry]:
    return [
        *(_Entry(wording.region_line(region), region.label.color_rgb) for region in findings.found),
        *(_Entry(wording.score_line(score), score=score) for score in findings.scores),
        *(_Entry(wording.mark_line(mark), mark.term.color_rgb) for mark in wording.marks(findings)),
        *(_Entry(wording.Line(each.name.meaning, wording.number(each))) for each in findings.measurements),
        *(_Entry(wording.change_line(change)) for change in findings.changes),
    ]


def _sentences(findings: Findings, hidden: int) -> Sequence[str]:
    more = f"{hidden} more are in the report." if hidden else ""
    earlier = f"{findings.not_compared[:1].upper()}{findings.not_compared[1:]}." if findings.not_compared else ""
    bars = "Bar: probability; mark on it: operating point." if findings.scores else ""
    return [sentence for sentence in (more, wording.absent(findings), *findings.remarks, earlier, bars) if sentence]


def _draw(pen: ImageDraw.ImageDraw, at: Place, entry: _Entry, room: int) -> None:
    left, middle = at
    indent = _TEXT if entry.colour else 0
    if entry.colour:
        pen.rounded_rectangle((left, middle - 8, left + 16, middle + 8), 3, _faded(entry.colour), entry.colour, 2)
    amount = entry.line.amount
    taken = round(ImageFont.load_default(_SIZE).getlength(amount)) + 12
    write(pen, (left + room, middle), amount, _SIZE, "rm", INK if _stands_out(entry) else FAINT)
    if entry.score:
        taken = max(taken, 60) + _BAR + 12
        _bar(pen, (left + room - taken + 12, middle), entry.score)
    write(pen, (left + indent, middle), shortened(entry.line.name, _SIZE, room - taken - indent), _SIZE, "lm")


def _stands_out(entry: _Entry) -> bool:
    return entry.score is None or entry.score.is_positive


def _bar(pen: ImageDraw.ImageDraw, at: Place, score: Score) -> None:
    """How long: the probability; the mark on it: the operating point."""
    left, middle = at
    pen.rectangle((left, middle - 5, left + _BAR, middle + 5), fill=_faded(FAINT))
    colour = _FOUND if score.is_positive else FAINT
    pen.rectangle((left, middle - 5, left + round(_BAR * score.probability), middle + 5), fill=colour)
    tick = left + round(_BAR * score.operating_point)
    pen.rectangle((tick - 1, middle - 9, tick + 1, middle + 9), fill=INK)


def _faded(colour: Colour) -> Colour:
    red, green, blue = (round(part * _FILL + back * (1 - _FILL)) for part, back in zip(colour, PAPER, strict=True))
    return red, green, blue
