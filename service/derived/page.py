"""A page of text for people who see only pictures: a title, and headings beside what stands under them."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

WIDTH, _SHORTEST = 1024, 640
_MARGIN, _TEXT_LEFT = 64, 240
_TITLE_SIZE, _TEXT_SIZE, _LINE, _GAP = 60, 26, 36, 22
_PAPER, _INK, _FAINT, _RULE = 20, 240, 150, 110


def page(title: str, entries: Sequence[tuple[str, str]]) -> Image.Image:
    """The title and each (heading, text) on one grey page, as high as they need."""
    wrapped = [(heading, wrap(text, WIDTH - _TEXT_LEFT - _MARGIN)) for heading, text in entries]
    top = _MARGIN + _TITLE_SIZE + 2 * _GAP
    height = top + sum(len(rows) * _LINE + _GAP for _, rows in wrapped) + _MARGIN
    sheet = Image.new("L", (WIDTH, max(height, _SHORTEST)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_MARGIN, _MARGIN), title, _TITLE_SIZE, _INK)
    pen.rectangle((_MARGIN, top - _GAP, WIDTH - _MARGIN, top - _GAP + 2), fill=_RULE)
    for heading, rows in wrapped:
        _write(pen, (_MARGIN, top + _GAP // 2), heading, _TEXT_SIZE, _FAINT)
        for number, row in enumerate(rows):
            _write(pen, (_TEXT_LEFT, top + _GAP // 2 + number * _LINE), row, _TEXT_SIZE, _INK)
        top += len(rows) * _LINE + _GAP
    return sheet


def wrap(text: str, width: int, size: int = _TEXT_SIZE) -> list[str]:
    """The text in rows of at most `width` pixels; a word that is wider by itself is broken."""
    rows = [""]
    for word in text.split():
        for piece in _pieces(word, width, size):
            longer = f"{rows[-1]} {piece}".strip()
            if _fits(longer, width, size):
                rows[-1] = longer
            else:
                rows.append(piece)
    return rows


def _pieces(word: str, width: int, size: int) -> list[str]:
    pieces = [""]
    for letter in word:
        if not _fits(pieces[-1] + letter, width, size):
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _fits(text: str, width: int, size: int) -> bool:
    return ImageFont.load_default(size).getlength(text) <= width


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, shade: int) -> None:
    pen.text(at, text, fill=shade, font=ImageFont.load_default(size))
