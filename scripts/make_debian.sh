#!/usr/bin/env bash
# Make a Debian 13 beside this system, to run something in by scripts/in_debian.sh. One that is whole
# is left as it is. Needs root, on Debian or Ubuntu; ends with 2 where it has not what it needs.
#   scripts/make_debian.sh build/NAME/root [PACKAGE...]
# RELEASE=bookworm makes a Debian 12. ARCH=arm64 makes one for another machine: its packages are
# unpacked, none of them is set up.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$1
shift
packages=$(IFS=,; echo "$*")
made=$root.made
if [ "$(id -u)" -ne 0 ] || ! unshare --mount true 2>/dev/null; then
    echo "This needs a Debian beside this system: be root and allowed to mount." >&2
    exit 2
fi
if [ -e "$made" ] && [ "$(cat "$made")" = "$packages" ]; then
    exit 0
fi
mkdir -p "$(dirname "$root")"
if [ "$(df --output=avail -m "$(dirname "$root")" | tail -n 1)" -lt 3000 ]; then
    echo "This needs 3 GB of disk for $root." >&2
    exit 2
fi
command -v debootstrap >/dev/null || scripts/apt_install.sh debootstrap debootstrap

# From where this system's own packages come, if that is Debian.
# shellcheck disable=SC2016  # apt's own placeholders
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && !/security/ {print $2; exit}')

echo "Making $root" >&2
rm -rf "$root" "$made"
# What it mounts meanwhile nobody else sees, and Ctrl-C leaves none of it.
unshare --mount debootstrap --variant=minbase ${ARCH:+--foreign --arch="$ARCH"} \
    ${packages:+--include="$packages"} "${RELEASE:-trixie}" "$root" ${mirror:+"$mirror"} >"$root.log" ||
    { tail -n 5 "$root.log" >&2; exit 1; }
if [ -n "${ARCH:-}" ]; then
    for package in "$root"/var/cache/apt/archives/*.deb; do
        dpkg-deb --extract "$package" "$root"
    done
fi
rm -rf "$root"/var/cache/apt/archives/*.deb
# Debian 12 leaves it to its installer.
[ -e "$root/etc/hosts" ] || echo "127.0.0.1 localhost" >"$root/etc/hosts"
echo "$packages" >"$made"
