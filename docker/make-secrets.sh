#!/bin/sh
# Makes the secrets of an installation where there are none yet, each readable by whoever needs it: a volume
# each, so that nobody sees another's. Users and groups are those of the images: 10001 is the controller's,
# 999 PostgreSQL's, 472 Grafana's.
set -eu
umask 077

# Keeps standard input in a file, unless it is there: owner, mode, file.
once() {
  [ -s "$3" ] && return
  cat > "$3.new"
  chown "$1" "$3.new"
  chmod "$2" "$3.new"
  sync "$3.new"
  mv "$3.new" "$3"
  echo "made $3"
}

word() {
  head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'
}

head -c 32 /dev/urandom | once 10001:10001 0400 /secrets/platform/secret
word | once 999:10001 0440 /secrets/postgres/password
word | once 472:0 0400 /secrets/grafana/admin-password
