#!/bin/sh
# Install Chromium for `make test-browser` if it is missing: as root with apt-get; for other users, print the command.
set -eu

if command -v chromium >/dev/null; then exit 0; fi

# fonts with mathematical symbols, in a package that is only recommended
install="apt-get install --yes --no-install-recommends chromium fonts-dejavu-core"
if ! command -v apt-get >/dev/null; then
    echo "error: there is no program 'chromium', and no apt-get to install it. Install Chromium with this system's package" >&2
    echo "manager so that 'chromium' starts it, then run the same command again." >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "error: there is no program 'chromium'. Run this, then the same command again:" >&2
    echo "  sudo apt-get update && sudo $install" >&2
    exit 1
fi

echo "Installing chromium ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# a new machine has no package lists yet
if ! { apt-get update && $install; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "error: chromium could not be installed; the end of apt-get's output is above. Try:" >&2
    echo "  apt-get update && $install" >&2
    exit 1
fi
