"""How a training went, as a picture: the loss above, the scores below, over the iterations."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from models.training.trainer import Progress

WIDTH, HEIGHT = 720, 300  # of each of the two
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 30, 30
INK, FAINT = (40, 40, 40), (215, 215, 215)
COLOURS = ((200, 70, 40), (40, 110, 190), (60, 150, 70), (140, 80, 170), (190, 140, 30))
LINES = 5

Series = dict[str, list[float]]


def curves(history: Sequence[Progress]) -> Image.Image:
    """Loss and scores of every report."""
    picture = Image.new("RGB", (WIDTH, 2 * HEIGHT), "white")
    iterations = [progress.iteration for progress in history]
    scores = {name: [progress.scores[name] for progress in history] for name in history[0].scores}
    _chart(picture, 0, iterations, {"loss": [progress.loss for progress in history]})
    _chart(picture, HEIGHT, iterations, scores)
    return picture


def _chart(picture: Image.Image, top: int, iterations: Sequence[int], series: Series) -> None:
    drawing = ImageDraw.Draw(picture)
    values = [value for each in series.values() for value in each]
    low, high = min(values), max(values)
    span = high - low or 1.0

    def place(iteration: float, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * iteration / iterations[-1]
        return across, top + HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / span

    for step in range(LINES):
        value = low + span * step / (LINES - 1)
        _, height = place(0, value)
        drawing.line((LEFT, height, WIDTH - RIGHT, height), FAINT)
        drawing.text((LEFT - 6, height), f"{value:.3g}", INK, anchor="rm")
    drawing.text((WIDTH - RIGHT, top + HEIGHT - 6), f"iteration {iterations[-1]}", INK, anchor="rb")
    across = float(LEFT)
    for index, (name, each) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        points = [place(iteration, value) for iteration, value in zip(iterations, each, strict=True)]
        drawing.line(points, colour, 2)
        drawing.circle(points[-1], 3, colour)
        drawing.text((across, top + 8), name, colour)
        across += drawing.textlength(name) + 16
