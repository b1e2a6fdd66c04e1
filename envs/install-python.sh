#!/bin/sh
# Make the virtual environment .venv from requirements.lock, unless it is already whole and of this very lock.
# With arguments: the environment named first from the lists of packages that follow.
#
# A stamp, written last, holds a checksum of the lists, of the Python's version and of the folder (an environment does not
# survive being moved). An environment with another, or whose Python no longer works, is made anew; it stays as it was where
# that fails (no network). PYTHON names another Python; by default an environment keeps its own.
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

# what an earlier try has left that was killed
if [ -e "$before" ]; then
    if [ -e "$stamp" ]; then rm -rf "$before"; else rm -rf "$environment" && mv "$before" "$environment"; fi
fi

command -v "$python" >/dev/null ||
    fail "'$python' was not found. Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)."
version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed, but '$python' is Python $version. Name a newer one: make PYTHON=python3.11 ..."
# that of an environment, which may be the very one to be replaced, is one of the system's, too
python=$("$python" -c 'import sys; print(sys._base_executable)')

expected=$("$python" -c '
import hashlib, os, sys
parts = [os.getcwd(), "%d.%d" % sys.version_info[:2], *(open(name, encoding="utf-8").read() for name in sys.argv[1:])]
print(hashlib.sha256("\n".join(parts).encode()).hexdigest())' "$@")
if [ "$(cat "$stamp" 2>/dev/null)" = "$expected" ] &&
    "$environment/bin/python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("pytest"))' 2>/dev/null; then
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
            fail "Python's modules venv and ensurepip could not be installed. Try: apt-get update && $install"
    else
        fail "Python's modules venv and ensurepip are missing. On Debian, run this, then the same command again:
  sudo apt-get update && sudo $install"
    fi
fi

echo "Creating $environment (with torch about 1.7 GB and a few minutes) ..."
put_back() {
    rm -rf "$environment"
    [ ! -e "$before" ] || mv "$before" "$environment"
}
[ ! -e "$environment" ] || mv "$environment" "$before"
trap put_back EXIT
trap 'exit 1' HUP INT TERM
"$python" -m venv "$environment" || fail "the virtual environment could not be created (see above)"
lists=$*
for list in $lists; do set -- "$@" --requirement "$list"; shift; done
"$environment/bin/python" -m pip install -qq --disable-pip-version-check --no-input "$@" ||
    fail "the packages of $lists could not be installed (pip's message stands above): $environment stays as it was. Check
the connection to where pip installs from, then run the same command again."
# the project's own package, editable; its dependencies are in the lists
case $lists in *requirements.lock*)
    "$environment/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
        fail "the package weight_importance could not be installed (see above): $environment stays as it was."
    ;;
esac
echo "$expected" >"$stamp"
trap - EXIT
rm -rf "$before"
