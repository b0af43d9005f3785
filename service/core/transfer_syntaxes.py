"""Transfer syntaxes by what this node does with them (PS3.6 table A-1)."""

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"

ACCEPTED = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    IMPLICIT_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.5",  # RLE Lossless
)

NEVER_ACCEPTED = {
    "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian, which turns a megabyte into gigabytes,",
    "1.2.840.10008.1.2.2": "Explicit VR Big Endian, which the Standard has retired,",
}
