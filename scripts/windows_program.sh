#!/bin/sh
# A program of the Debian that scripts/make_wine.sh has made: `wine`, which runs programs for Windows,
# or a tool of MinGW. It is called by the program's name, as a link to this file.
set -eu

scripts=$(dirname "$(realpath "$0")")
windows=$(realpath "$(dirname "$0")/..")
# Windows programs see all of the environment, and what Wine writes stays in build/windows.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$windows/home" XDG_RUNTIME_DIR="$windows/home"
export WINEPREFIX="$windows/prefix" WINEDEBUG=-all
export WINEDLLOVERRIDES='mscoree,mshtml=;winemenubuilder.exe=;ucrtbase=n,b'
exec "$scripts/in_debian.sh" "$windows/root" "$(basename "$0")" "$@"
