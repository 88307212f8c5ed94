#!/usr/bin/env bash
# Make sure that the RabbitMQ 4 of Debian 13 is there to test with: in a system of its own, 0.5 GB, a
# minute; its programs are in build/rabbitmq4/bin. Nothing of it runs, or is mounted, but while a
# test has a node of it.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/rabbitmq4
scripts/make_debian.sh $folder/root rabbitmq-server
mkdir -p $folder/bin
for program in rabbitmqctl rabbitmq-server; do
    ln -sf ../../../scripts/rabbitmq4_program.sh $folder/bin/$program
done
