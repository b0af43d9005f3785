"""What becomes one stack, what becomes several, and what becomes none."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from service.core.entities import Frame, Instance, Orientation, Reason, Refusal, Stack
from service.core.geometry import plane_name
from service.core.stacking import split
from tests.instances import AXIAL, CORONAL, SAGITTAL, instance, series, with_attributes

OBLIQUE = Orientation((0.8, 0.6, 0.0), (0.0, 0.0, -1.0))
TEN = [2.5 * k for k in range(10)]


def only_stack(instances: list[Instance]) -> Stack:
    (part,) = split(instances)
    assert isinstance(part, Stack)
    return part


def only_refusal(instances: list[Instance]) -> Refusal:
    (part,) = split(instances)
    assert isinstance(part, Refusal)
    return part


def reasons(instances: list[Instance]) -> list[str]:
    return sorted(part.reason if isinstance(part, Refusal) else "volume" for part in split(instances))


@pytest.mark.parametrize(
    "orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE], ids=["axial", "coronal", "sagittal", "oblique"]
)
def test_every_index_of_a_stack_lands_where_its_slice_says_it_is(orientation: Orientation) -> None:
    stack = only_stack(series(TEN, orientation))
    for index, member in enumerate(stack.slices):
        assert member.plane is not None
        row, column = np.array(member.plane.orientation.row), np.array(member.plane.orientation.column)
        expected = np.array(member.plane.position_mm) + column * 0.5 * 3 + row * 2.0 * 5
        assert np.allclose(stack.grid.to_world(np.array([[index, 3, 5]])), expected, atol=1e-9)


def test_spacing_between_rows_and_between_columns_are_not_swapped() -> None:
    assert only_stack(series(TEN)).grid.spacing_mm.tolist() == [2.5, 0.5, 2.0]


def test_axis_zero_runs_along_the_normal_even_when_slices_are_numbered_against_it() -> None:
    stack = only_stack(series(TEN[::-1]))
    assert stack.grid.direction[:, 0].tolist() == [0.0, 0.0, 1.0]
    assert stack.instances[0].sop_instance_uid == "1.2.3.10"


def test_any_order_of_arrival_gives_the_same_stack() -> None:
    members = series(TEN)
    shuffled = list(members)
    Random(3).shuffle(shuffled)
    assert only_stack(shuffled).instances == only_stack(members).instances
    assert only_stack(shuffled).stack_id == only_stack(members).stack_id


def test_a_missing_slice_is_named_with_its_place() -> None:
    refusal = only_refusal(series([height for height in TEN if height != 10.0]))
    assert refusal.reason is Reason.HOLE
    assert "1 of 10 slices missing" in refusal.sentence
    assert "after slice 4, where one is expected at 10.00 mm" in refusal.sentence


def test_two_holes_are_counted() -> None:
    refusal = only_refusal(series([2.0 * k for k in range(20) if k not in {5, 6, 12}]))
    assert "3 of 20 slices missing" in refusal.sentence


@pytest.mark.parametrize(
    ("heights", "reason"),
    [
        pytest.param([0.0], Reason.TOO_FEW_SLICES, id="one slice of unknown thickness"),
        pytest.param([0, 1, 2, 20, 21, 39], Reason.IRREGULAR_SPACING, id="gaps that nothing bridges"),
        pytest.param([0, 2.5, 5, 5.004, 7.5], Reason.DUPLICATE_POSITION, id="one position twice"),
    ],
)
def test_what_is_no_volume_is_refused_by_name(heights: list[float], reason: Reason) -> None:
    assert only_refusal(series(heights)).reason is reason


@pytest.mark.parametrize(
    ("heights", "places", "remark"),
    [
        pytest.param(
            [0, 4, 8, 12, 19, 26, 33],
            [0, 1.0909, 2.1818, 3.2727, 5.1818, 7.0909, 9],
            "irregular spacing: 7 slices, 4 to 7 mm apart",
            id="head CT of 4 and 7 mm",
        ),
        pytest.param(
            [0, 9, 10, 19, 20, 29, 30],
            [0, 9, 10, 19, 20, 29, 30],
            "irregular spacing: 7 slices, 1 to 9 mm apart",
            id="alternating 9 and 1 mm",
        ),
        pytest.param(
            [0.0, 1.0, 2.0, 3.02, 4.04, 5.06, 6.08, 7.1],
            [height / 7.1 * 8 for height in (0.0, 1.0, 2.0, 3.02, 4.04, 5.06, 6.08, 7.1)],
            "irregular spacing: 8 slices, 1 to 1.02 mm apart",
            id="a spacing that drifts",
        ),
    ],
)
def test_unevenly_spaced_slices_keep_their_places_on_a_grid_of_their_smallest_gap(
    heights: list[float], places: list[float], remark: str
) -> None:
    stack = only_stack(series(heights))
    assert stack.remarks[0] == remark
    assert stack.places == pytest.approx(places, abs=1e-4)
    for place, member in zip(stack.places, stack.slices, strict=True):
        assert member.plane is not None
        assert stack.grid.to_world(np.array([[place, 0, 0]]))[0] == pytest.approx(member.plane.position_mm)


def test_a_jitter_of_the_positions_within_tolerance_is_a_volume() -> None:
    assert only_stack(series([2.5 * k + (0.01 if k % 2 else -0.01) for k in range(10)]))


def test_a_tilted_gantry_is_recognised_from_positions_with_its_angle() -> None:
    sheared = [instance(k, 5.0 * k, shift_mm=(0.0, 5.0 * k * np.tan(np.radians(15)))) for k in range(1, 9)]
    stack = only_stack(sheared)
    assert stack.remarks == ("sheared by 15.0 degrees, as a tilted gantry leaves it",)
    assert stack.grid.voxel_size_mm == pytest.approx([5.0, 0.5, 2.0])


def test_slices_shifted_against_each_other_are_refused() -> None:
    shifted = [instance(k, 5.0 * k, shift_mm=(3.0 if k == 4 else 0.0, 0.0)) for k in range(1, 9)]
    assert only_refusal(shifted).reason is Reason.UNALIGNED


def test_echoes_at_the_same_positions_become_one_stack_each() -> None:
    first = with_attributes(series(TEN), EchoTime="2.3")
    second = with_attributes([instance(100 + k, height) for k, height in enumerate(TEN)], EchoTime="4.6")
    parts = split(first + second)
    assert [part.split_by for part in parts if isinstance(part, Stack)] == ["EchoTime=2.3", "EchoTime=4.6"]


def test_b_values_and_phases_are_told_apart_one_after_the_other() -> None:
    members = [
        with_attributes([instance(number * 100 + k, h)], DiffusionBValue=b, TemporalPositionIdentifier=phase)[0]
        for number, (b, phase) in enumerate([("0", "1"), ("0", "2"), ("800", "1"), ("800", "2")])
        for k, h in enumerate(TEN)
    ]
    assert reasons(members) == ["volume"] * 4


def test_an_acquisition_number_for_each_slice_does_not_split_a_volume() -> None:
    members = [with_attributes([each], AcquisitionNumber=str(k))[0] for k, each in enumerate(series(TEN))]
    assert only_stack(members)


def test_localizers_are_set_aside_and_the_rest_is_a_volume() -> None:
    localizers = with_attributes(series([500.0, 510.0]), ImageType="ORIGINAL\\PRIMARY\\LOCALIZER")
    renamed = [replace(each, sop_instance_uid=f"1.9.{k}") for k, each in enumerate(localizers)]
    assert reasons(series(TEN) + renamed) == ["localizer", "volume"]


def test_three_planes_under_one_series_become_three_stacks() -> None:
    members = [
        replace(each, sop_instance_uid=f"1.{k}.{each.sop_instance_uid}")
        for k, orientation in enumerate([AXIAL, CORONAL, SAGITTAL], start=1)
        for each in series(TEN[:5], orientation)
    ]
    planes = {plane_name(part.grid) for part in split(members) if isinstance(part, Stack)}
    assert planes == {"axial", "coronal", "sagittal"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"patient": "b"}, Reason.SEVERAL_PATIENTS, id="two patients"),
        pytest.param({"study_instance_uid": "1.5"}, Reason.SEVERAL_STUDIES, id="two studies"),
    ],
)
def test_one_series_uid_for_two_owners_is_refused_as_a_whole(change: dict[str, str], reason: Reason) -> None:
    members = series(TEN)
    members[3] = replace(members[3], **change)  # type: ignore[arg-type]
    refusal = only_refusal(members)
    assert refusal.reason is reason
    assert len(refusal.instances) == 10


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"frames": (Frame(1, None, {}),)}, Reason.NO_GEOMETRY, id="no position"),
        pytest.param({"attributes": {"ImageType": "ORIGINAL\\PRIMARY\\M\\MOSAIC"}}, Reason.MOSAIC, id="mosaic"),
        pytest.param({"pixels_missing": True}, Reason.PIXELS_MISSING, id="truncated file"),
        pytest.param({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.66.4"}, Reason.NOT_AN_IMAGE, id="segmentation"),
        pytest.param({"attributes": {"ManufacturerModelName": "Isocenter"}}, Reason.MADE_BY_THIS_NODE, id="our own"),
    ],
)
def test_what_cannot_be_stacked_is_set_aside_by_name(change: dict[str, object], reason: Reason) -> None:
    aside = [replace(each, **change) for each in series(TEN)]  # type: ignore[arg-type]
    assert only_refusal(aside).reason is reason


def test_an_orientation_that_is_no_pair_of_unit_vectors_is_refused() -> None:
    skewed = Orientation((1.0, 0.0, 0.0), (0.5, 0.5, 0.0))
    assert only_refusal(series(TEN, skewed)).reason is Reason.BAD_ORIENTATION


def test_every_instance_is_in_exactly_one_part() -> None:
    lost = [
        replace(each, sop_instance_uid=f"2.{k}", frames=(Frame(1, None, {}),)) for k, each in enumerate(series(TEN))
    ]
    members = series(TEN) + lost
    listed = [each.sop_instance_uid for part in split(members) for each in part.instances]
    assert sorted(listed) == sorted(each.sop_instance_uid for each in members)


def test_a_slice_almost_twice_is_no_spacing_to_interpolate() -> None:
    assert only_refusal(series([0.0, 2.5, 5.0, 5.02, 7.5, 10.0, 12.5])).reason is Reason.IRREGULAR_SPACING


def test_the_same_instances_under_another_series_are_another_stack() -> None:
    copied = [replace(each, series_instance_uid="1.2.4") for each in series(TEN)]
    assert only_stack(copied).stack_id != only_stack(series(TEN)).stack_id


def test_slices_whose_orientation_alternates_a_little_are_not_taken_for_two_volumes() -> None:
    turned = Orientation((1.0, 0.0, 0.0), (0.0, 0.99999, 0.0044))
    members = [instance(k, 2.5 * k, AXIAL if k % 2 else turned) for k in range(1, 13)]
    refusal = only_refusal(members)
    assert refusal.reason is Reason.MIXED_ORIENTATION
    assert len(refusal.instances) == 12


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        pytest.param("EchoTime", ("10", "80"), id="echoes"),
        pytest.param("DiffusionBValue", ("0.0", "800.0"), id="b-values"),
        pytest.param("TemporalPositionIdentifier", ("1", "2"), id="times"),
        pytest.param("TriggerTime", ("0", "500"), id="cardiac phases"),
        pytest.param("NominalPercentageOfCardiacPhase", ("40", "75"), id="cardiac phases of CT"),
        pytest.param("ContrastBolusAgent", ("", "OMNIPAQUE"), id="without and with contrast"),
        pytest.param("AcquisitionTime", ("101500", "101730"), id="contrast phases"),
        pytest.param("ConvolutionKernel", ("B30f", "B70f"), id="kernels"),
        pytest.param("ReconstructionDiameter", ("350", "500"), id="fields of view"),
        pytest.param("KVP", ("80", "140"), id="dual energy"),
        pytest.param("ImageType", ("ORIGINAL\\PRIMARY\\IP", "ORIGINAL\\PRIMARY\\OP"), id="in and opposed phase"),
        pytest.param("InversionTime", ("150", "900"), id="inversion times"),
    ],
)
def test_what_lies_at_the_same_places_is_told_apart_by_name(keyword: str, values: tuple[str, str]) -> None:
    members = [
        replace(each, sop_instance_uid=f"{number}.{each.sop_instance_uid}")
        for number, value in enumerate(values)
        for each in with_attributes(series(TEN), **{keyword: value})
    ]
    parts = split(members)
    names = {part.split_by for part in parts if isinstance(part, Stack)}
    assert names == {f"{keyword}={value or 'absent'}" for value in values}
    assert [len(part.slices) for part in parts] == [10, 10]


def test_images_of_two_sizes_under_one_series_are_two_stacks_named_by_their_sizes() -> None:
    def sized(each: Instance, number: int, rows: int) -> Instance:
        (frame,) = each.frames
        assert frame.plane is not None
        larger = replace(frame, plane=replace(frame.plane, rows=rows))
        return replace(each, sop_instance_uid=f"{rows}.{number}", frames=(larger,))

    members = [sized(each, number, rows) for rows in (8, 16) for number, each in enumerate(series(TEN))]
    assert sorted(part.split_by for part in split(members) if isinstance(part, Stack)) == ["size 16 x 6", "size 8 x 6"]


def test_what_the_header_says_of_spacing_is_compared_with_positions_and_never_used() -> None:
    stack = only_stack(with_attributes(series(TEN), SpacingBetweenSlices="5", SliceThickness="3"))
    assert stack.grid.spacing_mm[0] == 2.5
    assert stack.remarks == (
        "Spacing Between Slices says 5 mm, positions say 2.5 mm",
        "slices 3 mm thick and 2.5 mm apart overlap",
    )


@pytest.mark.parametrize(
    ("attributes", "reach_mm"),
    [
        pytest.param({"SpacingBetweenSlices": "4", "SliceThickness": "3"}, 4.0, id="spacing before thickness"),
        pytest.param({"SliceThickness": "3"}, 3.0, id="thickness alone"),
    ],
)
def test_a_lone_slice_reaches_as_far_as_its_header_says(attributes: dict[str, str], reach_mm: float) -> None:
    stack = only_stack(with_attributes(series([7.0]), **attributes))
    assert stack.grid.shape == (1, 8, 6)
    assert stack.grid.spacing_mm.tolist() == [reach_mm, 0.5, 2.0]
