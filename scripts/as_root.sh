#!/usr/bin/env bash
# Install something: print the shell commands on standard input, then run them as root, by sudo if
# need be. Nothing else in this project asks for root.
#   scripts/as_root.sh WHAT_IS_MISSING PACKAGES <<<COMMANDS
set -euo pipefail

missing=$1
packages=$2
commands=$(cat)

if ! command -v apt-get >/dev/null; then
    echo "$missing is missing, and there is no apt: install it as this system does." >&2
    exit 2
fi
if [ "$(id -u)" -eq 0 ]; then
    sudo=()
elif command -v sudo >/dev/null; then
    sudo=(sudo)
else
    echo "$missing is missing, and there is no sudo: as root, run 'apt install $packages'." >&2
    exit 2
fi

{
    echo "$missing is missing. To install it, this runs as root${sudo[*]:+ (with sudo)}:"
    mapfile -t lines <<<"$commands"
    printf '    %s\n' "${lines[@]}"
} >&2
"${sudo[@]}" sh -euc "$commands" </dev/null
