#!/usr/bin/env bash
# Builds the images of the components, and pushes them when asked. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'END'
Usage: bash build_images.sh -C NAME|all [options] [-- ENGINE OPTIONS]

Builds <registry>/<namespace>/<component>:<tag> from components/<component>/Dockerfile, and notes
what it built in images.lock, from which the runners take the exact images.

  -C, -c, --component NAME|all  the component to build; repeatable
  -n, --namespace NAME          first part of the images' names (default: fondant)
  -r, --repo NAME               the images' source is github.com/<namespace>/<repo>
                                (default: the URL of git's remote, if there is one)
  -t, --tag TAG                 (default: the git revision; -dirty if files differ from it)
      --registry HOST           where the images belong, such as ghcr.io (default: none)
      --push                    push each image after it is built; needs --namespace
      --platform OS/ARCH        build for another platform, such as linux/amd64
      --base-image IMAGE        instead of python:3.11-slim
      --build-arg NAME=VALUE    for the Dockerfiles; repeatable. For torch without CUDA:
                                TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
      --lock FILE               instead of images.lock
      --dry-run                 print the commands, run none of them
  -h, --help                    print this

What follows `--` goes to the engine's build command as it is. The engine is docker, or podman where
there is no docker; CONTAINER_ENGINE names another one.
END
}

die() {
  echo "error: $1" >&2
  exit "${2:-2}"
}

components() { # The names of all components, one a line.
  local file
  for file in components/*/Dockerfile; do
    if [[ -f $file ]]; then basename "$(dirname "$file")"; fi
  done
}

chosen=() options=()
namespace="" repo="" tag="" registry="" push=no dry_run=no lock=images.lock

while (($#)); do
  case $1 in
    -h | --help)
      usage
      exit
      ;;
    --push) push=yes ;;
    --dry-run) dry_run=yes ;;
    --)
      shift
      options+=("$@")
      break
      ;;
    -C | -c | --component | -n | --namespace | -r | --repo | -t | --tag | --registry | --platform | \
      --base-image | --build-arg | --lock)
      [[ $# -ge 2 && -n $2 && $2 != -* ]] || die "$1 needs a value; see --help."
      case $1 in
        -C | -c | --component) chosen+=("$2") ;;
        -n | --namespace) namespace=$2 ;;
        -r | --repo) repo=$2 ;;
        -t | --tag) tag=$2 ;;
        --registry) registry=${2%/} ;;
        --platform) options+=(--platform "$2") ;;
        --base-image) options+=(--build-arg "BASE_IMAGE=$2") ;;
        --build-arg) options+=(--build-arg "$2") ;;
        --lock) lock=$2 ;;
      esac
      shift
      ;;
    *) die "unknown option $1; see --help." ;;
  esac
  shift
done

find_engine() {
  local candidate
  for candidate in ${CONTAINER_ENGINE:-docker podman}; do
    if command -v "$candidate" >/dev/null; then
      echo "$candidate"
      return
    fi
  done
  [[ $dry_run == yes ]] || die "found neither docker nor podman; install one of them." 1
  echo "${CONTAINER_ENGINE:-docker}"
}

git_revision() {
  git rev-parse HEAD 2>/dev/null || true
}

default_tag() {
  local revision
  revision=$(git_revision)
  [[ -n $revision ]] || die "this is no git checkout, so name a --tag."
  if [[ -n $(git status --porcelain -- components fondant_spec image_toolkit pyproject.toml constraints.txt) ]]; then
    echo "${revision:0:12}-dirty"
  else
    echo "${revision:0:12}"
  fi
}

source_url() {
  if [[ -n $repo ]]; then
    echo "https://github.com/${namespace:-fondant}/$repo"
  else
    git remote get-url origin 2>/dev/null || true
  fi
}

version() {
  sed -n 's/^__version__ = "\(.*\)"$/\1/p' fondant_spec/__init__.py
}

run() { # Run a command, or only print it.
  if [[ $dry_run == yes ]]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

write_lock() { # component, image, id, digest: replace the component's line, whole or not at all.
  local new="$lock.tmp"
  {
    echo "# Written by build_images.sh: component, image, its id here, its digest in the registry."
    {
      if [[ -f $lock ]]; then grep -v -e '^#' -e "^$1 " "$lock" || true; fi
      echo "$1 $2 $3 $4"
    } | sort
  } >"$new"
  mv "$new" "$lock"
}

build() {
  local component=$1 image=$prefix$1:$tag id digest=-
  echo "building $image"
  run "$engine" build --file "components/$component/Dockerfile" --tag "$image" \
    --build-arg "SOURCE=$source" --build-arg "REVISION=$revision" --build-arg "VERSION=$version" \
    ${options[@]+"${options[@]}"} . || die "building $component failed." 1
  if [[ $push == yes ]]; then
    run "$engine" push "$image" || die "pushing $component failed." 1
  fi
  [[ $dry_run == no ]] || return 0
  id=$("$engine" image inspect --format '{{.Id}}' "$image")
  if [[ $push == yes ]]; then
    digest=$("$engine" image inspect --format '{{join .RepoDigests "\n"}}' "$image" |
      grep -m 1 -E "(^|/)${prefix}$component@") || die "$image was pushed, but has no digest." 1
  fi
  write_lock "$component" "$image" "sha256:${id#sha256:}" "$digest"
}

read -ra all <<<"$(components | paste -sd ' ' -)"
known=${all[*]}
((${#chosen[@]})) || die "name a --component: all, or some of: $known."
[[ $push == no || -n $namespace ]] || die "--push needs a --namespace, for whose images they are."

wanted=()
for component in "${chosen[@]}"; do
  if [[ $component == all ]]; then
    wanted=("${all[@]}")
    break
  fi
  [[ " $known " == *" $component "* ]] ||
    die "there is no component $component; choose all, or some of: $known."
  wanted+=("$component")
done

tag=${tag:-$(default_tag)}
engine=$(find_engine)
source=$(source_url)
revision=$(git_revision)
version=$(version)
prefix=${registry:+$registry/}${namespace:-fondant}/

for component in "${wanted[@]}"; do
  build "$component"
done
