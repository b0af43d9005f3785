"""Transfer syntaxes by what this node does with them (PS3.6 table A-1)."""

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"  # retired: read from a folder, never accepted from the network
RLE_LOSSLESS = "1.2.840.10008.1.2.5"

NATIVE = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)

# Which of pydicom's plugins decodes a codestream: the quickest of those that were seen to be exact, and no other, so
# that a file has one meaning on every machine.
LOSSLESS_PLUGINS = {
    "1.2.840.10008.1.2.4.70": "gdcm",  # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.57": "gdcm",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80": "pyjpegls",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90": "pylibjpeg",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.201": "pylibjpeg",  # High-Throughput JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.202": "pylibjpeg",  # High-Throughput JPEG 2000 Lossless with RPCL
}
LOSSY_PLUGINS = {
    "1.2.840.10008.1.2.4.50": "gdcm",  # JPEG Baseline, 8 bits
    "1.2.840.10008.1.2.4.51": "gdcm",  # JPEG Extended, 8 and 12 bits
    "1.2.840.10008.1.2.4.81": "pyjpegls",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.91": "pylibjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.203": "pylibjpeg",  # High-Throughput JPEG 2000
}
PLUGINS = LOSSLESS_PLUGINS | LOSSY_PLUGINS
PLUGINS_THAT_CRASH = ("gdcm",)  # on damaged codestreams, with the process they run in
PLUGIN_MODULES = {"gdcm": ("gdcm",), "pyjpegls": ("jpeg_ls",), "pylibjpeg": ("pylibjpeg", "openjpeg")}
PLUGIN_PACKAGES = {"gdcm": "python-gdcm", "pyjpegls": "pyjpegls", "pylibjpeg": "pylibjpeg pylibjpeg-openjpeg"}

ACCEPTED = (*NATIVE, *LOSSLESS_PLUGINS, RLE_LOSSLESS, *LOSSY_PLUGINS)  # where their plugins are installed

NEVER_ACCEPTED = {
    "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian, which turns a megabyte into gigabytes,",
    EXPLICIT_BIG_ENDIAN: "Explicit VR Big Endian, which the Standard has retired,",
}


def is_lossy(transfer_syntax_uid: str, lossy_image_compression: str) -> bool:
    """True when an image lost something, now or before: Lossy Image Compression (0028,2110) stays 01 for ever."""
    return transfer_syntax_uid in LOSSY_PLUGINS or lossy_image_compression == "01"
