# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Debian packages by purpose. Sourced by demo, check and .ci/run: installs what is missing, says nothing where all is there.

packages_build="autoconf automake gcc make pkg-config libc6-dev libmicrohttpd-dev libgnutls28-dev libjansson-dev libuv1-dev libcurl4-openssl-dev libsqlite3-dev libinih-dev libssl-dev libzstd-dev libpng-dev"
packages_run="python3 curl ca-certificates"
packages_numpy="python3-numpy libopenblas0-pthread" # with the reference BLAS, seconds would be minutes
packages_pip="python3-pip python3-setuptools python3-wheel python3-zstandard" # for client/python
packages_test="$packages_numpy $packages_pip check python3-pytest python3-pytest-xdist python3-jsonschema python3-yaml openssl procps mount"
case $(uname -m) in x86_64) packages_test="$packages_test gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" ;; esac # for tests/neon
packages_browser="chromium" # for tests/browser; node and npm of other origins than Debian's serve as well
command -v node >/dev/null || packages_browser="$packages_browser nodejs"
command -v npm >/dev/null || packages_browser="$packages_browser npm"
packages_images="pngquant" # for tests/browser/screenshots
packages_lint="clang-format shellcheck black mypy"
packages_slow="valgrind clang-tidy"
packages_fuzz="clang libclang-rt-dev" # for tests/fuzz/run
packages_contract="$packages_numpy python3-venv" # for tests/contract
packages_peers="python3-torch $packages_numpy python3-zstandard python3-pytest python3-venv" # for tests/peers

# as_root COMMAND...: with sudo where that is needed
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages NAME...
install_packages() {
    missing=
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
        ii*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    echo "installing:$missing"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "these packages are missing and need root: apt-get install$missing" >&2
        return 1
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086  # a list of words on purpose
    if ! { as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# unpack_package NAME FOLDER: the files of a package alone, without installing it.
unpack_package() {
    mkdir -p "$2"
    quiet="-q -o APT::Sandbox::User=root" # the user that apt would download as may not write here
    # shellcheck disable=SC2086  # words
    (cd "$2" && { apt-get download $quiet "$1" || { as_root apt-get update -q && apt-get download $quiet "$1"; }; }) >/dev/null || return 1
    dpkg-deb -x "$2/$1"_*.deb "$2"
    rm -f "$2/$1"_*.deb
}
