#!/usr/bin/env bash
# Make sure that the RabbitMQ 4 of Debian 13 is there to test with: a system of its own in
# build/rabbitmq4/root (0.5 GB, a minute), and its programs in build/rabbitmq4/bin. Needs root, on
# Debian or Ubuntu. Nothing of it runs, or is mounted, but while a test has a node of it.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/rabbitmq4
if [ -x $folder/bin/rabbitmq-server ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "To test with RabbitMQ 4 a Debian 13 is made beside this system; that needs root." >&2
    exit 1
fi
command -v debootstrap >/dev/null || scripts/apt_install.sh debootstrap debootstrap

# From where this system's own packages come, if that is Debian.
# shellcheck disable=SC2016  # apt's own placeholders
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && !/security/ {print $2; exit}')

echo "Making $folder" >&2
rm -rf $folder
mkdir -p $folder
# What it mounts meanwhile nobody else sees, and Ctrl-C leaves none of it.
unshare --mount debootstrap --variant=minbase --include=rabbitmq-server trixie \
    $folder/root ${mirror:+"$mirror"} >$folder/debootstrap.log ||
    { tail -n 5 $folder/debootstrap.log >&2; exit 1; }
mkdir $folder/bin
for program in rabbitmqctl rabbitmq-server; do
    ln -s ../../../scripts/rabbitmq4_program.sh $folder/bin/$program
done
