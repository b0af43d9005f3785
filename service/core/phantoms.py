"""How a phantom is told from a patient: two marks, so that one slip of the pen never makes a patient a phantom."""

PATIENT_ID_PREFIX = "PHANTOM-"


def is_phantom(quality_control_image: str | None, patient_id: str | None) -> bool:
    """True when the image says that it shows a phantom (PS3.3 C.7.6.1, Quality Control Image) and so does its owner."""
    return quality_control_image == "YES" and (patient_id or "").startswith(PATIENT_ID_PREFIX)
