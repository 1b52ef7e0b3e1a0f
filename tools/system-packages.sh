#!/bin/sh
# Installs the Debian packages named as arguments where it can; otherwise says in one line which are missing.
command -v dpkg-query >/dev/null 2>&1 || exit 0
missing=""
for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q "ok installed" || missing="$missing $name"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends $missing; } >/dev/null 2>&1 && exit 0
    echo "could not install these packages (the window, speed and some tests need them):$missing"
else
    echo "the window, speed and some tests need these packages: sudo apt install$missing"
fi
exit 0
