#!/bin/sh
# Run a command in a system that scripts/make_debian.sh has made, as root, with the caller's environment
# and working directory. The checkout and the folder for temporary files are at their usual places
# there. What it mounts is seen by this command and its children alone, and is gone when they are.
#   scripts/in_debian.sh build/NAME/root COMMAND...
set -eu

root=$(realpath "$1")
shift
# Not by chroot: a container that runc starts in one is entered again, by runc, outside it.
# shellcheck disable=SC2016  # for the inner shell
exec unshare --mount sh -euc '
    here=$1
    shift
    mount --rbind "$0" "$0"
    for place in /proc /dev /sys "${TMPDIR:-/tmp}"; do
        mkdir -p "$0$place"
        mount --rbind "$place" "$0$place"
    done
    mkdir -p "$0$here"
    mount --bind "$here" "$0$here"
    before=$PWD
    cd "$0"
    pivot_root . mnt
    umount --lazy /mnt
    cd "$before" 2>/dev/null || cd /
    exec "$@"
' "$root" "$(realpath "$(dirname "$0")/..")" "$@"
