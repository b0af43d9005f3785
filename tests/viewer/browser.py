"""OHIF in a browser: a study opened, its Segmentation loaded, and the picture that a reader has before them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.volume import Vector
from tests.node import until

BROWSER_OPTIONS = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # WebGL without a GPU
WINDOW = {"width": 1180, "height": 720}
_STARTING_MS = 120_000
_NO_TOUR = "localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))"
_VIEWPORT = (
    "const viewport = cornerstone.getRenderingEngines().flatMap(e => e.getViewports()).find(v => v.id === 'default')"
)
_SHOW = f"""async instance => {{
    {_VIEWPORT};
    await viewport.setImageIdIndex(viewport.getImageIds().findIndex(id => id.includes(`/instances/${{instance}}/`)));
}}"""
_SHOWN = f"() => {{ {_VIEWPORT}; return viewport.getCurrentImageId(); }}"
_TO_CANVAS = f"points => {{ {_VIEWPORT}; return points.map(point => Array.from(viewport.worldToCanvas(point))); }}"
_TOGGLE = f"""() => {{
    {_VIEWPORT};
    const [segmentation] = services.segmentationService.getSegmentationRepresentations(viewport.id);
    services.segmentationService.toggleSegmentationRepresentationVisibility(viewport.id, segmentation);
}}"""
_LOADED = f"""() => {{
    {_VIEWPORT};
    return services.segmentationService.getSegmentationRepresentations(viewport.id).length;
}}"""

Picture = NDArray[np.int16]


@dataclass  # no slots: playwright keeps its wrappers of a listener on the listener's owner
class Viewer:
    """One page of a browser with OHIF in it; `complaints` are failed requests and uncaught errors so far."""

    page: Any
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, study_instance_uid: str) -> None:
        """Show a study, with the panel of segments beside it."""
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"no answer: {request.url}"))
        self.page.on("response", self._keep_refusal)
        self.page.add_init_script(_NO_TOUR)
        self.page.set_default_timeout(_STARTING_MS)
        self.page.goto(f"{self.address}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self.page.get_by_text("Confirm and hide").click()  # "for investigational use only"
        self._named("viewport-overlay-bottom-right").get_by_text("I:").wait_for()
        self._named("panelSegmentation-btn").click()

    def load_segmentation(self) -> None:
        """Open the Series of modality SEG as a reader does, and agree to have it drawn on its images."""
        self._named("study-browser-thumbnail-no-image").filter(has_text="SEG").dblclick()
        self.page.get_by_role("button", name="Yes").click()
        self._named("data-row").first.wait_for()
        until(lambda: self.page.evaluate(_LOADED), "the segmentation is in the viewport")
        self._named("Reset").click()  # the panel has made the viewport narrower than the image

    def segments(self) -> list[str]:
        """The labels in the panel of segments, from the top."""
        return [str(row).splitlines()[-1].strip() for row in self._named("data-row").all_inner_texts()]

    def series(self) -> list[str]:
        """What the list of Series calls each of them, with its modality."""
        rows = self.page.locator("[data-cy^=study-browser-thumbnail]").all_inner_texts()
        return [" ".join(str(row).split("\n")[:2]) for row in rows]

    def show(self, sop_instance_uid: str) -> None:
        """Scroll to an image."""
        self.page.evaluate(_SHOW, sop_instance_uid)
        until(lambda: sop_instance_uid in self.page.evaluate(_SHOWN), "the viewport shows the image")

    def to_canvas(self, points_mm: Vector) -> Vector:
        """Where points of the patient, (n, 3) LPS mm, lie in the viewport, (n, 2) pixels from its left and top."""
        return np.array(self.page.evaluate(_TO_CANVAS, points_mm.tolist()))

    def drawn_and_bare(self) -> tuple[Picture, Picture]:
        """The viewport with the segments drawn and with them hidden, (row, column, 3)."""
        drawn = self._settled(lambda _: True)
        self.page.evaluate(_TOGGLE)
        bare = self._settled(lambda picture: bool((picture != drawn).any()))
        self.page.evaluate(_TOGGLE)
        return self._settled(lambda picture: bool((picture != bare).any())), bare

    def screenshot(self) -> bytes:
        """The whole window, PNG."""
        return bytes(self.page.screenshot())

    def _settled(self, accepts: Callable[[Picture], bool]) -> Picture:
        """The viewport's picture as soon as it is acceptable and two in a row are the same."""
        pictures: list[Picture] = [self._viewport()]

        def settled() -> bool:
            pictures.append(self._viewport())
            return accepts(pictures[-1]) and bool((pictures[-1] == pictures[-2]).all())

        until(settled, "the picture stands still")
        return pictures[-1]

    def _viewport(self) -> Picture:
        box = self._named("viewport-pane").locator("canvas").first.bounding_box()
        with Image.open(BytesIO(self.page.screenshot(clip=box))) as picture:
            return np.asarray(picture.convert("RGB"), dtype=np.int16)

    def _named(self, name: str) -> Any:
        return self.page.locator(f"[data-cy={name}]")

    def _keep_refusal(self, response: Any) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")
