#!/bin/sh
# Make the virtual environment .venv from requirements.lock, unless it is already whole and of this very lock.
#
# A stamp, written last, holds a checksum of the lock and of the folder (an environment does not survive being moved). An
# environment without it, or whose Python no longer works, is thrown away and made anew. PYTHON names another Python.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
lock=envs/requirements.lock
stamp=.venv/.made-from
expected=$( { pwd -P; cat "$lock"; } | sha256sum)

is_whole() {
    [ "$(cat "$stamp" 2>/dev/null)" = "$expected" ] &&
        .venv/bin/python -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("snakemake"))' 2>/dev/null
}
if is_whole; then exit 0; fi

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

command -v "$python" >/dev/null ||
    fail "'$python' was not found. Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)."
version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed, but '$python' is Python $version. Name a newer one: make PYTHON=python3.11 ..."

if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    # Debian leaves these modules out of its python3 package
    package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    install="apt-get install --yes --no-install-recommends $package"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $package ..."
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update && $install; } >/dev/null ||
            fail "Python's modules venv and ensurepip could not be installed. Try: apt-get update && $install"
    else
        fail "Python's modules venv and ensurepip are missing. On Debian, run this, then the same command again:
  sudo apt-get update && sudo $install"
    fi
fi

echo "Creating .venv (about 1.7 GB, a few minutes) ..."
rm -rf .venv
"$python" -m venv .venv || fail "the virtual environment could not be created (see above)"
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --requirement "$lock" ||
    fail "the packages of $lock could not be installed (pip's message stands above). Run the same command again."
echo "$expected" >"$stamp"
