#!/bin/sh
# Counts every 0.1 s from 1: each number is a line of output, the content of /data/count, and what port 80 answers.
trap 'exit 0' TERM
mkdir -p /data /www
ln -sf /data/count /www/index.html
i=0
while :; do
  i=$((i + 1))
  echo "$i"
  # Replaced whole, so that nobody reads an empty file.
  echo "$i" >/data/.next && mv /data/.next /data/count
  [ "$i" -gt 1 ] || httpd -p 80 -h /www
  sleep 0.1
done
