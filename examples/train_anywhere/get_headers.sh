#!/usr/bin/env bash
# Puts onnxruntime's C headers into include/, for drive.c: those in Debian's package libonnxruntime-dev. The driver asks
# for version 17 of the API, so headers and libraries from 1.17 on fit each other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

package=libonnxruntime-dev
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/sources" "$work/files"

# Debian 12 has no such package. Nothing of it is installed, so the next release's will do: the machine's own sources,
# with another name of the release, and lists apart from the machine's.
. /etc/os-release
release=$VERSION_CODENAME
if [ "$release" = bookworm ]; then release=trixie; fi
for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [ -f "$file" ]; then sed "s/$VERSION_CODENAME/$release/g" "$file" > "$work/sources/${file##*/}"; fi
done
apt() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" -o Dir::State="$work/state" \
        -o APT::Sandbox::User=root -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$work/cache" "$@"
}
apt update
(cd "$work" && apt download "$package")
dpkg-deb -x "$work/$package"_*.deb "$work/files"
mkdir -p include
cp "$work"/files/usr/include/onnxruntime/*.h include/
