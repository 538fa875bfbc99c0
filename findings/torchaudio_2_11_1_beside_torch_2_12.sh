#!/usr/bin/env bash
# torchaudio 2.11.1 from PyPI declares torch>=2.11 ("requires torch 2.11 or newer") and cannot be imported beside torch 2.11.0 or 2.12.0.
#
# Seen on Linux x86_64, Python 3.11: the import of torchaudio ends with OSError "Could not load this library: …/libtorchaudio.so", behind which
# stands "undefined symbol: torch_exception_get_what_without_backtrace". Beside torch 2.13.0 and newer the same wheel works, and torchaudio 2.11.0
# works beside torch 2.11.0. Resolvers follow the metadata, so "torch<2.13" in anybody's requirements gives an environment that installs without
# a word and breaks at the first import. Whoever needs torchaudio 2.11.1 has to ask for torch>=2.13 himself.
#
# Downloads some gigabytes. Fails when the behaviour changes.
set -euo pipefail
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "the wheels concerned are those for Linux x86_64"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9

beside() { # the version of torch -> what importing torchaudio 2.11.1 says
    "$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "torch==$1" "torchaudio==2.11.1"
    "$folder/venv/bin/python" -c "import torchaudio" 2>&1 | grep -o "undefined symbol: torch_exception_get_what_without_backtrace" | head -n 1 || true
}
for version in 2.12.0 2.13.0; do
    said=$(beside "$version")
    echo "torch $version: ${said:-torchaudio 2.11.1 is imported}"
    case $version in
    2.12.0) [ -n "$said" ] || { echo "changed: it works beside torch $version now"; exit 1; } ;;
    2.13.0) [ -z "$said" ] || { echo "changed: it no longer works beside torch $version"; exit 1; } ;;
    esac
done
grep -h "^Requires-Dist: torch" "$folder"/venv/lib/python*/site-packages/torchaudio-2.11.1.dist-info/METADATA | grep -qx "Requires-Dist: torch>=2.11" || { echo "changed: the metadata say otherwise"; exit 1; }
echo "as described: declared torch>=2.11, needs torch>=2.13"
