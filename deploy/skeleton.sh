#!/usr/bin/env bash
# Copies a checkout's manifests and puts an empty program or library wherever it has a source that cargo starts from.
# The image builds its dependencies from this tree: it stays the same, and the layer cached, while only code changes.
#
#   skeleton.sh CHECKOUT FOLDER
set -euo pipefail

[ $# -eq 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
mkdir -p "$2"
target=$(cd "$2" && pwd)
cd "$1"

cp Cargo.toml Cargo.lock "$target/"
members=$(find . -mindepth 2 -name Cargo.toml -not -path './target/*' -not -path '*/node_modules/*' -not -path './.git/*')
for manifest in $members; do
    crate=$(dirname "$manifest")
    mkdir -p "$target/$crate"
    cp "$manifest" "$target/$crate/"
    for root in "$crate"/{build,src/lib,src/main}.rs "$crate"/src/bin/*.rs "$crate"/{benches,examples,tests}/*.rs; do
        [ -f "$root" ] || continue
        mkdir -p "$target/$(dirname "$root")"
        case $root in
        */src/lib.rs) : >"$target/$root" ;;
        *) echo 'fn main() {}' >"$target/$root" ;;
        esac
    done
done
