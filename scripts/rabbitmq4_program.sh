#!/bin/sh
# A program of the RabbitMQ 4 that scripts/make_rabbitmq4.sh has made. It is called by the program's
# name, as a link to this file.
set -eu

scripts=$(dirname "$(realpath "$0")")
exec "$scripts/in_debian.sh" "$(dirname "$0")/../root" "/usr/lib/rabbitmq/bin/$(basename "$0")" "$@"
