#!/usr/bin/env bash
# Assembles the folder that the container image and a server have as /opt/thought-diary.
#
#   assemble.sh FOLDER PROGRAMS    PROGRAMS is the folder of the built `host` and `xtask`, target/release for instance
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1
wasm=target/wasm32-wasip2/release
install -D --mode=755 deploy/thought-diary.sh "$folder/bin/thought-diary"
install -D --mode=755 --strip "$2/host" "$folder/bin/host"
install -D --mode=755 --strip "$2/xtask" "$folder/bin/xtask"
install -D --mode=644 --target-directory="$folder" spin.toml runtime-config.toml LICENSE
install -D --mode=644 --target-directory="$folder/migrations" migrations/*.sql
install -D --mode=644 --target-directory="$folder/$wasm" "$wasm"/{auth,entries,hashing,sentiment,system}.wasm
mkdir -p "$folder/deploy"
cp -R deploy/{systemd,proxy,postgres,backup.sh} "$folder/deploy/"
