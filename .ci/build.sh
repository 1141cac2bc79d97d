# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# Sourced by demo and check: configures once, builds what has changed.

# build_in FOLDER [CONFIGURE-OPTION...]: an out-of-tree build of the programs.
build_in() {
    configure_in "$@" && build_quietly make -s -C "$1" -j "$(nproc)" all
}

# configure_in FOLDER [CONFIGURE-OPTION...]: a folder that was configured with other options is configured anew, and what was built there
# removed; without options, whatever is there is good.
configure_in() {
    folder=$1
    shift
    if [ -f config.status ]; then
        echo "this folder itself was configured, so nothing can be built in $folder/: run \"make distclean\" here, and again" >&2
        return 1
    fi
    if [ ! -x configure ] || [ -n "$(find configure.ac Makefile.am -newer configure)" ]; then build_quietly autoreconf -i || return; fi
    mkdir -p "$folder"
    # A Makefile that is there brings itself up to date when configure.ac or Makefile.am change.
    if [ ! -f "$folder/Makefile" ]; then
        (cd "$folder" && build_quietly ../configure -q "$@") || return
    elif [ $# -gt 0 ] && [ "$(cd "$folder" && ./config.status --config | tr -d "'")" != "$*" ]; then
        (cd "$folder" && build_quietly ../configure -q "$@" && build_quietly make -s clean) || return
    fi
}

# Runs a command; shows what it printed only if it fails.
build_quietly() {
    build_log=$(mktemp)
    if ! "$@" >"$build_log" 2>&1; then
        cat "$build_log" >&2
        rm -f "$build_log"
        echo "failed: $*" >&2
        return 1
    fi
    rm -f "$build_log"
}
