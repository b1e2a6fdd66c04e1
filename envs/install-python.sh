#!/bin/sh
# Create the virtual environment .venv from requirements.lock unless it is complete and up to date.
# With arguments: the environment (first argument) and the lists of packages to install into it.
#
# A stamp, written last, holds a checksum of the lists, of Python's version and of the folder (an environment cannot be
# moved). An environment with another stamp, or without a working Python, is created again; if that fails (no network), the
# old one is kept. PYTHON selects another Python; by default an environment keeps its Python.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
[ $# -gt 1 ] || set -- .venv envs/requirements.lock
environment=$1
shift
stamp=$environment/.made-from
before=$environment.before

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

# recover from an earlier attempt that was killed
if [ -e "$before" ]; then
    if [ -e "$stamp" ]; then rm -rf "$before"; else rm -rf "$environment" && mv "$before" "$environment"; fi
fi

command -v "$python" >/dev/null ||
    fail "cannot find '$python'. Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)."
version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "'$python' is Python $version, but 3.11 or newer is required. Select another one: make PYTHON=python3.11 ..."
# $python may belong to the environment that is about to be replaced: use the system's Python behind it
python=$("$python" -c 'import sys; print(sys._base_executable)')

expected=$("$python" -c '
import hashlib, os, sys
parts = [os.getcwd(), "%d.%d" % sys.version_info[:2], *(open(name, encoding="utf-8").read() for name in sys.argv[1:])]
print(hashlib.sha256("\n".join(parts).encode()).hexdigest())' "$@")
if [ "$(cat "$stamp" 2>/dev/null)" = "$expected" ] &&
    "$environment/bin/python" -c 'import pip' 2>/dev/null; then
    exit 0
fi

if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    # Debian leaves these modules out of its python3 package
    package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    install="apt-get install --yes --no-install-recommends $package"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $package ..."
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update && $install; } >/dev/null ||
            fail "cannot install Python's modules venv and ensurepip. Try: apt-get update && $install"
    else
        fail "Python's modules venv and ensurepip are missing. On Debian, run the following, then the same command again:
  sudo apt-get update && sudo $install"
    fi
fi

echo "Creating $environment (a few minutes; with torch 1.8 GB, or several GB with its CUDA libraries) ..."
put_back() {
    rm -rf "$environment"
    [ ! -e "$before" ] || mv "$before" "$environment"
}
[ ! -e "$environment" ] || mv "$environment" "$before"
trap put_back EXIT
trap 'exit 1' HUP INT TERM
"$python" -m venv "$environment" || fail "cannot create the virtual environment (see above)"
lists=$*
for list in $lists; do set -- "$@" --requirement "$list"; shift; done
"$environment/bin/python" -m pip install -qq --disable-pip-version-check --no-input "$@" ||
    fail "cannot install the packages of $lists (see pip's message above); $environment is unchanged. Check the connection
to the package index that pip uses, then run the same command again."
# the project's own packages, editable (a container image has none); the lists contain their dependencies
case $lists in *requirements.lock*)
    [ ! -e pyproject.toml ] ||
        "$environment/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
        fail "cannot install the package weight_importance (see above); $environment is unchanged."
    ;;
esac
echo "$expected" >"$stamp"
trap - EXIT
rm -rf "$before"
