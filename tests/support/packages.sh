#!/bin/sh
# System packages that the tests use as real parts. Installed where we are root on Debian; otherwise named, and the
# tests that need them skip with their reason.
set -u
PATH="$PATH:/usr/sbin"  # nginx lies there, and not everybody looks
missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || missing="$missing $2"; }
need redis-server redis-server
need chromium chromium
need espeak-ng espeak-ng
need nginx nginx-light
need ip iproute2
need curl curl
need promtool prometheus
need amtool prometheus-alertmanager
need prometheus-blackbox-exporter prometheus-blackbox-exporter
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$missing faketime"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing for the tests:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null 2>&1
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && exit 0
fi
echo "NOT INSTALLED:$missing. The tests that need them will be skipped and say so." >&2
exit 0
