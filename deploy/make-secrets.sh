#!/usr/bin/env bash
# Makes the two secrets of the compose profile `mesh` in deploy/secrets/, once: a random database password, and the
# database's address with it. Existing ones stay, because the database keeps the password it was made with.
set -euo pipefail

folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/secrets
if [ -s "$folder/postgres-password" ] && [ -s "$folder/database-url" ]; then
    echo "deploy/secrets/ is there already"
    exit 0
fi
# Nobody but the owner may enter; inside the containers other users read the files.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf '%s' "$password" >"$folder/postgres-password"
printf 'postgres://copydesk:%s@postgres:5432/copydesk' "$password" >"$folder/database-url"
echo "made deploy/secrets/postgres-password and deploy/secrets/database-url"
