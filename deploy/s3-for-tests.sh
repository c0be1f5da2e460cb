#!/bin/sh
# A throwaway S3 server (moto) for the test suite.
#
#   s3-for-tests.sh start FOLDER   starts a server in FOLDER (or finds it running), prints its URL
#   s3-for-tests.sh url FOLDER     prints the URL of the running server
#   s3-for-tests.sh stop FOLDER    ends it by the process id it wrote and removes what start made
#
# It listens on the loopback address only, on a port that was free, and keeps everything in memory: never put data in it
# that you want back. The program is $MOTO_SERVER, or the moto_server on the PATH (pip install -r deploy/tools/moto.txt).
set -eu

fail() {
    echo "s3-for-tests: $*" >&2
    exit 1
}

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# The pid file of a crashed server may name a process that is somebody else's by now: the command line tells.
running() {
    [ -f "$folder/moto.pid" ] && [ -f "$folder/moto.port" ] || return 1
    ps -o args= -p "$(cat "$folder/moto.pid")" 2>/dev/null | grep -q -- "moto_server .*-p $(cat "$folder/moto.port")"
}

print_url() {
    echo "http://127.0.0.1:$(cat "$folder/moto.port")"
}

# Only what start made: the mark says so.
remove_traces() {
    [ -e "$folder" ] || return 0
    [ -f "$folder/throwaway" ] || fail "$folder was not made by this script"
    rm -f "$folder/moto.pid" "$folder/moto.port" "$folder/server.log" "$folder/throwaway"
    rmdir "$folder" 2>/dev/null || true
}

# True when the server answers, false when it has ended. Its log says which, so nobody else is taken for it.
await_server() {
    tries=0
    while [ "$tries" -lt 600 ]; do
        ! grep -q 'Running on http' "$folder/server.log" 2>/dev/null || return 0
        kill -0 "$1" 2>/dev/null || return 1
        tries=$((tries + 1))
        sleep 0.1
    done
    fail "the server did not start, see $folder/server.log"
}

# Two starters may pick the same free port at the same moment; the loser moves on to the next one.
start_server() {
    program=${MOTO_SERVER:-moto_server}
    command -v "$program" >/dev/null 2>&1 || fail "no moto_server found; pip install -r deploy/tools/moto.txt"
    port=$((20000 + $$ % 20000))
    last=$((port + 50))
    while [ "$port" -lt "$last" ]; do
        nohup "$program" -H 127.0.0.1 -p "$port" >"$folder/server.log" 2>&1 </dev/null &
        pid=$!
        if await_server "$pid"; then
            echo "$pid" >"$folder/moto.pid"
            echo "$port" >"$folder/moto.port"
            return
        fi
        grep -qi 'in use' "$folder/server.log" || fail "the server did not start, see $folder/server.log"
        port=$((port + 1))
    done
    fail "no free port found"
}

[ $# -eq 2 ] || usage
action=$1
case $2 in
/*) folder=$2 ;;
*) folder=$(pwd)/$2 ;;
esac

case $action in
start)
    if ! running; then
        if [ -d "$folder" ] && [ ! -f "$folder/throwaway" ] && [ -n "$(ls -A "$folder")" ]; then
            fail "$folder is not empty, and was not made by this script"
        fi
        mkdir -p "$folder"
        : >"$folder/throwaway"
        start_server
    fi
    print_url
    ;;
url)
    running || fail "no server is running in $folder"
    print_url
    ;;
stop)
    if running; then
        pid=$(cat "$folder/moto.pid")
        kill "$pid"
        tries=0
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -lt 100 ] || fail "process $pid did not end"
            sleep 0.1
        done
    fi
    remove_traces
    ;;
*) usage ;;
esac
