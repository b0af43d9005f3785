"""A survey of images as one HTML page that needs nothing but itself."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from models.volume import Radiograph, Volume
from service.commands.survey import Found, Values
from service.derived.picture import overlay
from service.derived.windows import grey, spread_window, window_of

_HEIGHT = 240  # pixels of the highest preview of a stack
_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; background: #16191e; color: #eef0f3 }
section { border-top: 1px solid #3a4049; padding: 1rem 0 } h2 { font-size: 1.05rem; margin: 0 0 .3rem }
.reason { color: #ffb86b } .faint { color: #9aa0aa } img { margin: .5rem .5rem 0 0; background: #000 }
td { padding: 0 1rem 0 0; vertical-align: top } svg { background: #000; margin-top: .5rem } .mark { color: #ff8080 }
"""


class Page:
    """Collects parts one by one, so that only one volume is held at a time."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._previews: list[str] = []
        self._found: list[Found] = []

    def add(self, found: Found, image: Volume | Radiograph | None) -> None:
        """One more part."""
        self._found.append(found)
        self._previews.append("" if image is None else _previews(image))

    def html(self, unreadable: Mapping[str, int]) -> str:
        """The page."""
        sections = [_section(each, preview) for each, preview in zip(self._found, self._previews, strict=True)]
        failed = [f"<p class=reason>{count} files: {escape(reason)}</p>" for reason, count in unreadable.items()]
        stacks = sum(each.is_stack for each in self._found)
        head = f"<meta charset=utf-8><title>{escape(self._title)}</title><style>{_STYLE}</style>"
        summary = f"<h1>{escape(self._title)}</h1><p>{stacks} stacks, {len(self._found) - stacks} other parts</p>"
        return f"<!doctype html><html lang=en>{head}<body>{summary}{''.join((*failed, *sections))}</body></html>"


def _section(found: Found, preview: str) -> str:
    name = escape(found.series_description or "without description")
    kind = "" if found.is_stack else " class=reason"
    rows = [("frames", f"{found.frames} in {found.instances} instances"), ("told apart by", found.split_by)]
    rows += [("transfer syntax", ", ".join(found.transfer_syntaxes)), ("missing", ", ".join(found.missing))]
    rows += [("differs between slices", "; ".join(found.disagreements))]
    rows += _value_rows(found.values) if found.values else []
    marks = [*found.unusual, *(found.values.outliers if found.values else ())]
    return (
        f"<section><h2>{escape(found.modality)} {name}</h2><p{kind}>{escape(found.what)}</p>"
        f"<p class=faint>{escape(found.series_instance_uid)}</p>"
        f"<table>{''.join(_row(*row) for row in rows if row[1])}</table>"
        f"{''.join(f'<p class=mark>{escape(mark)}</p>' for mark in marks)}"
        f"{preview}{_histogram(found.values.histogram) if found.values else ''}</section>"
    )


def _row(name: str, value: str) -> str:
    return f"<tr><td class=faint>{escape(name)}</td><td>{escape(value)}</td></tr>"


def _value_rows(values: Values) -> list[tuple[str, str]]:
    percentiles = f"1 %: {values.percentile_1:g}, median {values.median:g}, 99 %: {values.percentile_99:g}"
    rows = [("values", f"{values.minimum:g} to {values.maximum:g} ({percentiles})")]
    rows.append(("at the lowest value", f"{values.lowest_share:.1%} of the voxels: padding or background"))
    if values.metal_share:
        rows.append(("at 3000 HU and above", f"{values.metal_share:.3%} of the voxels: metal"))
    return rows


def _previews(volume: Volume | Radiograph) -> str:
    if isinstance(volume, Radiograph):
        return _picture("radiograph", _projection(volume), _HEIGHT / volume.values.shape[0])
    pictures = overlay(volume, window_of(volume))
    scale = _HEIGHT / max(picture.shape[0] for picture in pictures.values())
    return "".join(_picture(plane, Image.fromarray(picture), scale) for plane, picture in pictures.items())


def _projection(radiograph: Radiograph) -> Image.Image:
    window = spread_window(radiograph.values, (0.5, 99.5))
    return Image.fromarray(np.rint(grey(radiograph.values, window)).astype(np.uint8))


def _picture(plane: str, image: Image.Image, scale: float) -> str:
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    encoded = BytesIO()
    small.save(encoded, format="JPEG", quality=85)
    source = f"data:image/jpeg;base64,{b64encode(encoded.getvalue()).decode()}"
    return f'<img src="{source}" alt="{plane}" title="{plane}">'


def _histogram(counts: Sequence[int]) -> str:
    highest = max(counts) or 1
    bars: Iterable[str] = (
        f'<rect x="{4 * number}" y="{60 - 60 * count / highest:.1f}" width="3" height="{60 * count / highest:.1f}"/>'
        for number, count in enumerate(counts)
    )
    return f'<div><svg width="{4 * len(counts)}" height="60" fill="#9aa0aa">{"".join(bars)}</svg></div>'
