"""Who writes results: Isocenter, plain highdicom and dcmqi, each measured in the process that it runs in."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path

from pydicom import Dataset
from pydicom.sr.codedict import codes

from benchmarks import result_case as case
from benchmarks.cost import peak_mb
from models.volume import LabelMap


@dataclass(slots=True)
class Outcome:
    """What one run took and gave: seconds by phase, the peak without proof and in all, the bytes of both files."""

    seconds: dict[str, float] = field(default_factory=dict)
    making_mb: float = 0.0
    peak_mb: float = 0.0
    segmentation_bytes: int = 0
    report_bytes: int = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a phase."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


def by_isocenter(folder: Path, images: Path, segments: int) -> Outcome:
    """Both objects as the node makes them: built, encoded, decoded again and proven."""
    from models.regions import found
    from service.core.profiles import Kind
    from service.derived.catalogue import CATALOGUE
    from service.derived.encoding import decode, encode
    from service.derived.material import Made, Material
    from service.derived.origin import Origin

    findings = found(case.ALGORITHM, LabelMap(case.GRID, case.labels(folder)), case.structures(segments))
    material = Material(case.sources(images), findings, Origin("benchmark", datetime(2026, 1, 1), "0"))
    outcome = Outcome()
    made: Made = {}
    for kind in (Kind.SEGMENTATION, Kind.REPORT):
        with outcome.phase(f"{kind} build"):
            built = CATALOGUE[kind].build(material, made)
        with outcome.phase(f"{kind} encode"):
            encoded = [encode(dataset) for dataset in built]
        del built
        if kind is Kind.SEGMENTATION:
            outcome.making_mb, outcome.segmentation_bytes = peak_mb(), len(encoded[0])
        with outcome.phase(f"{kind} proof"):
            made = {**made, kind: [decode(each) for each in encoded]}
            CATALOGUE[kind].prove(made[kind], material, made)
    outcome.report_bytes = len(encoded[0])
    return outcome


def by_highdicom(folder: Path, images: Path, segments: int) -> Outcome:
    """The Segmentation from a label map, the quickest of highdicom's ways; the report without an image library."""
    from highdicom import UID, seg, sr

    sources, labels = case.sources(images), case.labels(folder)
    described = [_described(number) for number in range(1, segments + 1)]
    outcome = Outcome()
    with outcome.phase("segmentation build"):
        segmentation = seg.Segmentation(
            source_images=sources,
            pixel_array=labels,
            segmentation_type=seg.SegmentationTypeValues.BINARY,
            segment_descriptions=described,
            **_identity(1),
        )
    with outcome.phase("segmentation encode"):
        outcome.segmentation_bytes = _saved(segmentation)
    outcome.making_mb = peak_mb()
    counts = LabelMap(case.GRID, labels).counts()
    with outcome.phase("report build"):
        device = sr.DeviceObserverIdentifyingAttributes(uid=UID(), name="benchmark")
        context = sr.ObservationContext(sr.ObserverContext(codes.DCM.Device, device))
        groups = [
            _group(segmentation, sources[0], number, float(counts[number]) * case.GRID.voxel_volume_ml)
            for number in range(1, segments + 1)
        ]
        content = sr.MeasurementReport(context, codes.cid100.CTUnspecifiedBodyRegion, groups)
        report = sr.Comprehensive3DSR(evidence=[*sources, segmentation], content=content, **_identity(2))
    with outcome.phase("report encode"):
        outcome.report_bytes = _saved(report)
    return outcome


def by_dcmqi(folder: Path, images: Path, segments: int) -> Outcome:
    """itkimage2segimage from a NIfTI label map: its reading, building and writing in one."""
    del segments
    target = folder / f"dcmqi_{time.monotonic_ns()}.dcm"
    command = ["itkimage2segimage", "--inputImageList", str(folder / "labels.nii"), "--skip", "1"]
    command += ["--inputMetadata", str(folder / "dcmqi.json"), "--inputDICOMDirectory", str(images)]
    outcome = Outcome()
    with outcome.phase("segmentation build"):
        subprocess.run([*command, "--outputDICOM", str(target)], capture_output=True, check=True)
    outcome.making_mb, outcome.segmentation_bytes = peak_mb(), target.stat().st_size
    target.unlink()
    return outcome


WRITERS: dict[str, Callable[[Path, Path, int], Outcome]] = {
    "Isocenter": by_isocenter,
    "highdicom": by_highdicom,
    "dcmqi": by_dcmqi,
}


def _identity(number: int) -> dict[str, object]:
    from highdicom import UID

    return {
        "series_instance_uid": UID(),
        "series_number": number,
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": "benchmark",
        "manufacturer_model_name": "benchmark",
        "software_versions": "0",
        "device_serial_number": "0",
    }


def _described(number: int) -> Dataset:
    from highdicom import UID, AlgorithmIdentificationSequence, seg
    from highdicom.sr import CodedConcept

    return seg.SegmentDescription(
        segment_number=number,
        segment_label=f"Structure {number}",
        segmented_property_category=CodedConcept(case.ORGAN.value, case.ORGAN.scheme, case.ORGAN.meaning),
        segmented_property_type=CodedConcept(case.KIND.value, case.KIND.scheme, case.KIND.meaning),
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            "benchmark", codes.cid7162.ArtificialIntelligence, "1"
        ),
        tracking_uid=UID(),
        tracking_id=f"Structure {number}",
    )


def _group(segmentation: Dataset, source: Dataset, number: int, volume_ml: float) -> Dataset:
    from highdicom import UID, sr

    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(UID(), f"Structure {number}"),
        referenced_segment=sr.ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            number,
            source_series=sr.SourceSeriesForSegmentation(source.SeriesInstanceUID),
        ),
        finding_type=sr.CodedConcept(case.KIND.value, case.KIND.scheme, case.KIND.meaning),
        measurements=[sr.Measurement(codes.SCT.Volume, volume_ml, codes.UCUM.CubicCentimeter)],
    )


def _saved(dataset: Dataset) -> int:
    written = BytesIO()
    dataset.save_as(written)
    return len(written.getvalue())
