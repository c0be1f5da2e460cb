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

name=s3
usage_lines=9
# shellcheck source=deploy/throwaway.sh
. "$(dirname "$0")/throwaway.sh"

url() { echo "http://127.0.0.1:$1"; }

is_ours() { grep -q -- "moto_server .*-p $1"; }

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

launch() {
    program=${MOTO_SERVER:-moto_server}
    command -v "$program" >/dev/null 2>&1 || fail "no moto_server found; pip install -r deploy/tools/moto.txt"
    nohup "$program" -H 127.0.0.1 -p "$1" >"$folder/server.log" 2>&1 </dev/null &
    echo "$!" >"$folder/s3.pid"
    await_server "$!" && return
    grep -qi 'in use' "$folder/server.log" || fail "the server did not start, see $folder/server.log"
    return 1
}

throwaway "$@"
