"""What every picture for people is drawn with: colours, text, scale bar, the sheet and the warning on it."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from models.findings import Algorithm

Colour = tuple[int, int, int]
Place = tuple[int, int]

WARNING = "AI RESULT  ·  NOT VERIFIED  ·  NOT FOR DIAGNOSIS"
MARGIN, HEADER, CAPTION, BANNER = 16, 60, 32, 38
PAPER, BLACK, INK, FAINT = (22, 25, 30), (0, 0, 0), (238, 240, 243), (160, 167, 178)
_AMBER, _DARK = (240, 180, 41), (30, 22, 0)
_BAR_LENGTHS_MM = (1, 2, 5, 10, 20, 50, 100, 200)


def sheet(size: tuple[int, int], algorithm: Algorithm, beside: str) -> Image.Image:
    """An empty sheet of (width, height): the algorithm in the header, the warning at the foot."""
    width, height = size
    page = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(page)
    room = width - 3 * MARGIN - round(ImageFont.load_default(15).getlength(beside))
    write(pen, (MARGIN, HEADER // 2), shortened(f"{algorithm.name} {algorithm.version}", 24, room), 24, "lm")
    write(pen, (width - MARGIN, HEADER // 2), beside, 15, "rm", FAINT)
    pen.rectangle((0, height - BANNER, width, height), fill=_AMBER)
    pen.text(
        (width // 2, height - BANNER // 2), WARNING, fill=_DARK, font=ImageFont.load_default(19), anchor="mm",
        stroke_width=0.5,
    )  # fmt: skip
    return page


def write(pen: ImageDraw.ImageDraw, at: Place, text: str, size: int, anchor: str, colour: Colour = INK) -> None:
    """Text that is legible on any background."""
    font = ImageFont.load_default(size)
    pen.text(at, text, fill=colour, font=font, anchor=anchor, stroke_width=2, stroke_fill=BLACK)


def shortened(text: str, size: int, width: int) -> str:
    """The text, with its end replaced by three dots when it is wider than `width` pixels."""
    font = ImageFont.load_default(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text.rstrip()}..."


def scale_bar(pen: ImageDraw.ImageDraw, at: Place, mm: float, longest: int, note: str = "") -> None:
    """A bar of a round length, at most `longest` pixels, with its left end at `at`; `mm` is the size of a pixel."""
    fitting = [length for length in _BAR_LENGTHS_MM if length <= longest * mm]
    length_mm = max(fitting) if fitting else _BAR_LENGTHS_MM[0]
    left, bottom = at
    right = left + round(length_mm / mm)
    for colour, swell in ((BLACK, 1), (INK, 0)):
        pen.rectangle((left - swell, bottom - 3 - swell, right + swell, bottom + swell), fill=colour)
    write(pen, (left, bottom - 8), f"{length_mm} mm{note}", 15, "ls")


def letters(pen: ImageDraw.ImageDraw, sides: Sequence[str], box: tuple[int, int, int, int]) -> None:
    """Where the left, right, top and bottom side of a box (left, top, right, bottom) are in the patient."""
    left, top, right, bottom = box
    across, down = (left + right) // 2, (top + bottom) // 2
    places = (
        ((left + 8, down), "lm"),
        ((right - 8, down), "rm"),
        ((across, top + 6), "ma"),
        ((across, bottom - 6), "md"),
    )
    for letter, (at, anchor) in zip(sides, places, strict=True):
        write(pen, at, letter, 19, anchor)


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    """The image as a PNG or JPEG file."""
    content = BytesIO()
    image.save(content, format=form, **({"quality": 92} if form == "JPEG" else {}))
    return content.getvalue()
