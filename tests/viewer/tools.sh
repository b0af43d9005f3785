#!/bin/sh
# Installs what `make accept-viewer` needs beside the tests' own tools: Chromium, Orthanc's DICOMweb plugin, and OHIF's files.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$1
sh "$here/../tools.sh"

missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
if [ -n "$missing" ]; then
    as_root=""
    [ "$(id -u)" -eq 0 ] || as_root="sudo -n"
    echo "installing$missing"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    if [ -d /run/systemd/system ]; then $as_root systemctl disable --quiet --now orthanc 2>/dev/null || true; fi
fi

# fetch VERSION SHA256: the built viewer as its makers publish it. The version is named: npm else takes one that suits Node.
fetch() {
    folder="$here/ohif/$1"
    [ -e "$folder/dist/index.html" ] && return
    echo "fetching OHIF $1"
    rm -rf "$folder" && mkdir -p "$folder"
    npm pack --silent --ignore-scripts --pack-destination "$folder" "@ohif/app@$1" >/dev/null
    echo "$2  $folder/ohif-app-$1.tgz" | sha256sum --check --quiet
    tar -xzf "$folder/ohif-app-$1.tgz" -C "$folder" --strip-components=1 && rm "$folder/ohif-app-$1.tgz"
}
fetch 3.12.10 fbabd410be33e5b9898931b725229b9da9553aac339914b5c29796d3aa5d4b2d
fetch 3.13.2 b189d3963bfc58e9394a9db8c7be75d07beb029ec211dbb126d47b62969dd3f1

"$python" -c "import playwright" 2>/dev/null ||
    "$python" -m pip install --quiet --disable-pip-version-check -c "$here/../../constraints.txt" -e "$here/../..[viewer]"
