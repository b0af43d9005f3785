"""Findings of a volume as an SR of template TID 1500: what was measured, and what was looked for in vain.

Groups of regions refer to their segment, to the source Series, and to one image: that on which the region is largest.
"""

from pydicom import Dataset

from service.core.profiles import Kind
from service.derived.material import Made, Material
from service.derived.report_groups import groups
from service.derived.report_head import report


def build(material: Material, made: Made) -> list[Dataset]:
    """A report with a measurement group for each finding, in the model's order.

    A structure that was found has its volume, what else was measured and its segment; any other is stated to be absent.
    """
    return [report(material, groups(material, made), made.get(Kind.SEGMENTATION, ()))]
