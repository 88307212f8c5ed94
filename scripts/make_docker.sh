#!/usr/bin/env bash
# Make sure that the Docker engine of Debian 13 is there for scripts/with_docker.sh: in a system of its
# own, 0.6 GB, a minute; `docker` is in build/docker/bin. Ends with 2 where none can be run.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/docker
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null || [ ! -c /dev/net/tun ] ||
    ! unshare --mount --net --pid --fork true 2>/dev/null; then
    echo "This needs a Docker engine that answers; or, to run one, root on Debian, mounts and /dev/net/tun." >&2
    exit 2
fi
mkdir -p $folder
if [ ! -d $folder/data ] && [ "$(df --output=avail -m $folder | tail -n 1)" -lt 5000 ]; then
    echo "This needs 5 GB of disk for $folder." >&2
    exit 2
fi
scripts/make_debian.sh $folder/root \
    ca-certificates docker-buildx docker-cli docker-compose docker.io iptables slirp4netns
mkdir -p $folder/bin $folder/data
ln -sf ../../../scripts/docker_program.sh $folder/bin/docker
