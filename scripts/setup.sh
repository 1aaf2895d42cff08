# Sourced by the other scripts: makes .venv ready with the locked packages and this project linked into it.
# Warm, it does nothing, says nothing and needs no network. Written for bash 3.2 too, which is what macOS has.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
bin=$venv/bin

# From here `building.require_go` installs Go into .venv, if a component has to be built and there is no Go.
export KUEUE_LWS_CONFORMANCE_GO_LOCK=$root/requirements-go.lock

say() { echo "set-up: $*" >&2; }

usable_python() { # a version manager's shim may be on PATH without a Python behind it, and a Python without ensurepip
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

make_venv() {
    local name
    for name in python3.13 python3.12 python3.11 python3 python; do
        if usable_python "$name"; then
            say "making .venv with $("$name" --version)"
            "$name" -m venv --clear "$venv"
            return
        fi
    done
    say "Python 3.11 or newer, with its venv module, is needed and was not found on PATH; install it and run this again"
    exit 2
}

install_lock() {
    say "installing the packages of requirements.lock"
    if ! "$bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$root/requirements.lock"; then
        say "the packages could not be installed; connect to the network, or point pip at a mirror, and run this again"
        exit 2
    fi
    cp "$root/requirements.lock" "$venv/installed.lock"
}

# The link tree that the strict editable install makes, and that type checkers need, does not see new files.
package_files() {
    cat "$root/pyproject.toml"
    (cd "$root" && find conformance fixtures manifests -type f ! -path '*/__pycache__/*' | LC_ALL=C sort)
}

link_project() {
    "$bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        --config-settings editable_mode=strict --editable "$root"
    package_files >"$venv/linked.files"
}

usable_python "$bin/python" || make_venv
cmp -s "$root/requirements.lock" "$venv/installed.lock" || install_lock
package_files | cmp -s - "$venv/linked.files" || link_project
