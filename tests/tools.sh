#!/bin/sh
# Installs the programs of other makers that the tests use, when that is allowed, and else says what is left out.
missing=""
command -v Orthanc >/dev/null 2>&1 || [ -x /usr/sbin/Orthanc ] || missing="$missing orthanc"
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
command -v storescu >/dev/null 2>&1 || missing="$missing dcmtk"
command -v strace >/dev/null 2>&1 || missing="$missing strace"
command -v dciodvfy >/dev/null 2>&1 || missing="$missing dicom3tools"
command -v java >/dev/null 2>&1 || missing="$missing default-jre-headless"
[ -f /usr/share/java/pixelmed.jar ] || missing="$missing libpixelmed-java"
command -v pdftotext >/dev/null 2>&1 || missing="$missing poppler-utils"
[ -z "$missing" ] && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="no"; fi
fi
if [ "$as_root" != "no" ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing$missing"
    $as_root apt-get update -qq || echo "the package lists could not be renewed; the ones that are here are used"
    if $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
        # Debian starts a service of its own for Orthanc; the tests start theirs on free ports.
        if [ -d /run/systemd/system ]; then $as_root systemctl disable --quiet --now orthanc 2>/dev/null || true; fi
        exit 0
    fi
fi
echo "not installed:$missing. Tests that need them are skipped and named below; install: apt-get install$missing"
[ "${CI:-}" = "true" ] && exit 1
exit 0
