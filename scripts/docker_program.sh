#!/bin/sh
# The `docker` of the system that scripts/make_docker.sh has made. It is called by a link to this file.
set -eu

exec "$(dirname "$(realpath "$0")")/in_debian.sh" "$(dirname "$0")/../root" /usr/bin/docker "$@"
