"""What a report says before its findings: who observed, and which procedure."""

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.findings import Algorithm
from service.derived.finish import MANUFACTURER, device_uid

# CID 100 names few body parts, none for most models: the procedure is the modality's, whatever the region.
_XR = codes.cid100.XRUnspecifiedBodyRegion
_PROCEDURES = {
    "CT": codes.cid100.CTUnspecifiedBodyRegion,
    "MR": codes.cid100.MRIUnspecifiedBodyRegion,
    "PT": codes.cid100.PETUnspecifiedBodyRegion,
    "CR": _XR,
    "DX": _XR,
    "RG": _XR,
}


def procedure(source: Dataset) -> Code:
    """The imaging procedure that a source is of (CID 100)."""
    return _PROCEDURES.get(source.Modality, codes.cid100.ImagingProcedure)


def observer(algorithm: Algorithm) -> sr.ObservationContext:
    """The model as the device that states this (TID 1004)."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(algorithm),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=algorithm.name,
    )
    return sr.ObservationContext(sr.ObserverContext(codes.DCM.Device, device))
