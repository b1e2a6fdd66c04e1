#!/bin/sh
# Install missing LaTeX packages of paper/: as root with apt-get; for other users, print the command. Checks for programs
# and files, not for packages, so LaTeX from any source is accepted.
set -eu

# program or file, and the Debian package that contains it (without recommended packages this is the smallest set)
needed="
latexmk            latexmk
pdflatex           texlive-latex-base
bibtex             texlive-binaries
article.cls        texlive-latex-base
amsmath.sty        texlive-latex-base
geometry.sty       texlive-latex-base
graphicx.sty       texlive-latex-base
hyperref.sty       texlive-latex-base
natbib.sty         texlive-latex-base
plainnat.bst       texlive-latex-base
booktabs.sty       texlive-latex-recommended
caption.sty        texlive-latex-recommended
microtype.sty      texlive-latex-recommended
subcaption.sty     texlive-latex-recommended
xcolor.sty         texlive-latex-recommended
lmodern.sty        lmodern
siunitx.sty        texlive-science
"

is_there() {
    case $1 in
        *.*) command -v kpsewhich >/dev/null && kpsewhich "$1" >/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# print column $1 (1: program or file, 2: package) of all missing entries, without duplicates, on one line
missing() {
    echo "$needed" | while read -r name package; do
        if [ -n "$name" ] && ! is_there "$name"; then
            if [ "$1" = 1 ]; then echo "$name"; else echo "$package"; fi
        fi
    done | sort -u | paste -s -d ' ' -
}

names=$(missing 1)
[ -n "$names" ] || exit 0
packages=$(missing 2)

if ! command -v apt-get >/dev/null; then
    echo "error: LaTeX is incomplete, and there is no apt-get to complete it. Missing: $names." >&2
    echo "Install them with this system's package manager (TeX Live with latexmk), then run the same command again." >&2
    exit 1
fi
install="apt-get install --yes --no-install-recommends $packages"
if [ "$(id -u)" != 0 ]; then
    echo "error: LaTeX is incomplete. Missing: $names. Run this, then the same command again:" >&2
    echo "  sudo apt-get update && sudo $install" >&2
    exit 1
fi

echo "Installing LaTeX packages ($packages) ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# a new machine has no package lists yet
if ! { apt-get update && $install; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "error: the LaTeX packages could not be installed; the end of apt-get's output is above. Try:" >&2
    echo "  apt-get update && $install" >&2
    exit 1
fi
names=$(missing 1)
if [ -n "$names" ]; then
    echo "error: still missing after installing $packages: $names." >&2
    echo "Install them by hand, then run the same command again." >&2
    exit 1
fi
