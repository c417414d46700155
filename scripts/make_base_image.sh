#!/usr/bin/env bash
# Builds a substitute for the image python:3.11-slim from Debian packages, where no registry answers.
#
#   scripts/make_base_image.sh [NAME]      default NAME: python:3.11-slim
#
# The Dockerfiles build on it unchanged. It is for this machine only: it contains what pip needs to
# reach a package index from here (certificates, /etc/pip.conf, a local folder of wheels).
# Needs root, mmdebstrap and a Docker engine.
set -euo pipefail

if [[ $# -gt 1 || ${1:-} == -* ]]; then
  echo "usage: bash scripts/make_base_image.sh [NAME]" >&2
  exit 2
fi
name=${1:-python:3.11-slim}
engine=${CONTAINER_ENGINE:-docker}
suite=bookworm # the Debian release with Python 3.11

for program in mmdebstrap "$engine"; do
  command -v "$program" >/dev/null || {
    echo "error: $program is not installed; try: apt-get install mmdebstrap docker.io" >&2
    exit 1
  }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Debian names the interpreter python3, forbids pip to install, and lacks the local settings.
cat >"$work/customize" <<'HOOK'
#!/bin/sh
set -e
ln -sf /usr/bin/python3 "$1/usr/local/bin/python"
ln -sf /usr/bin/pip3 "$1/usr/local/bin/pip"
rm -f "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED
rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin
cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"
if [ -f /etc/pip.conf ]; then cp /etc/pip.conf "$1/etc/pip.conf"; fi
if [ -d "$WHEELS" ]; then mkdir -p "$1$WHEELS" && cp -r "$WHEELS/." "$1$WHEELS"; fi
HOOK
chmod +x "$work/customize"

wheels=${PIP_FIND_LINKS:-$(python3 -m pip config get global.find-links 2>/dev/null || true)}
[[ -d $wheels ]] || wheels=""

WHEELS=$wheels mmdebstrap --quiet --variant=minbase \
  --include=python3,python3-pip,ca-certificates \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --aptopt='APT::Install-Recommends "false"' \
  --customize-hook="$work/customize" \
  "$suite" "$work/base.tar"

settings=(
  --change 'CMD ["python3"]'
  --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8'
  --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt'
)
[[ -z $wheels ]] || settings+=(--change "ENV PIP_FIND_LINKS=$wheels")
"$engine" import "${settings[@]}" "$work/base.tar" "$name" >/dev/null
echo "made $name from Debian $suite"
