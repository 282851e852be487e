# Sourced by ./run, ./test and tools/*: one way to find Python, make .venv and become root. Needs $root.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# The first interpreter that is new enough; $PYTHON goes first. pyenv's shims exist for versions that do not run.
find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Sentinel needs Python 3.11 or newer; this machine has $(python3 --version 2>/dev/null || echo none)." \
        "Name one with PYTHON=/path/to/python3."
}

# Runs a command as root; 1 where neither root nor sudo can be had. sudo may ask only where a person can answer.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        sudo "$@"
    else
        return 1
    fi
}

# Installs Debian packages without starting the services in them; 1 where that cannot be done.
apt_install() {
    command -v apt-get >/dev/null || return 1
    # Debian asks policy-rc.d whether a package may start its service: a test's peer is started by the test alone.
    as_root sh -c '
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod 755 $policy
            trap "rm -f $policy" EXIT
        fi
        export DEBIAN_FRONTEND=noninteractive
        log=$(mktemp)
        for step in "update" "install -y --no-install-recommends $*"; do
            apt-get -q $step >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; rm -f "$log"; exit 1; }
        done
        rm -f "$log"
    ' sh "$@"
}

# What .venv was made from. Both locks name the same versions, so a development environment serves ./run as well.
venv_digest() {
    cat "$root/requirements/runtime.lock" "$root/requirements/dev.lock" "$root/pyproject.toml" | sha256sum | cut -d' ' -f1
}

venv_is_current() {
    stamp=$(cat "$root/.venv/stamp" 2>/dev/null) || return 1
    case $stamp in
        "dev $(venv_digest)") ;;
        "$1 $(venv_digest)") ;;
        *) return 1 ;;
    esac
    # A system upgrade may have taken the interpreter away.
    "$root/.venv/bin/python" -c '' 2>/dev/null
}

# make_venv runtime|dev: brings .venv up to requirements/$1.lock, with the project itself installed in place.
make_venv() {
    venv_is_current "$1" && return
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=python3-venv
        [ "$python" = /usr/bin/python3 ] || package=$(basename "$python")-venv
        say "Installing $package ..."
        apt_install "$package" || die "Python's venv module is missing. Please run:  sudo apt-get install $package"
    fi
    mkdir -p "$root/.venv" 2>/dev/null && [ -w "$root/.venv" ] || die "$root/.venv cannot be written by $(id -un)."
    if ! "$root/.venv/bin/python" -c 'import pip' 2>/dev/null; then
        "$python" -m venv --clear "$root/.venv"
    fi
    rm -f "$root/.venv/stamp"
    say "Installing the locked packages of requirements/$1.lock into .venv (about a minute, once) ..."
    pip="$root/.venv/bin/python -m pip --quiet --disable-pip-version-check --no-input install --no-warn-script-location"
    # Wheels only: nothing is built, so no compiler is needed and no package's own code runs while it is installed.
    $pip --require-hashes --only-binary :all: --requirement "$root/requirements/$1.lock"
    $pip --no-deps --no-build-isolation --editable "$root"
    printf '%s %s\n' "$1" "$(venv_digest)" >"$root/.venv/stamp"
}
