#!/usr/bin/env bash
# Builds the images of the components, and pushes them when asked. See usage below.
set -euo pipefail
unset CDPATH
caller=$PWD
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")"
root=$PWD

usage() {
  cat <<'END'
Usage: bash build_images.sh -C NAME|FOLDER|all [options] [-- ENGINE OPTIONS]

Builds <registry>/<namespace>/<component>:<tag> from components/Dockerfile, and notes what it built
in images.lock, from which the runners take the exact images.

  -C, -c, --component NAME|FOLDER|all
                                the component to build, or the folder of your own; repeatable
  -n, --namespace NAME          first part of the images' names (default: fondant)
  -r, --repo NAME               the images' source is github.com/<namespace>/<repo>
                                (default: the URL of git's remote, if there is one)
  -t, --tag TAG                 (default: the git revision; -dirty if files differ from it)
      --registry HOST           where the images belong, such as ghcr.io (default: none)
      --push                    push each image after it is built; needs --namespace
      --platform OS/ARCH        build for another platform, such as linux/amd64
      --base-image IMAGE        instead of python:3.11-slim
      --build-arg NAME=VALUE    for the Dockerfile; repeatable. For torch without CUDA:
                                TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
      --lock FILE               instead of images.lock, which is here, or beside your own component
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
  local spec
  for spec in components/*/fondant_component.yaml; do
    if [[ -f $spec ]]; then basename -- "$(dirname -- "$spec")"; fi
  done
}

chosen=() options=()
namespace="" repo="" tag="" registry="" platform="" push=no dry_run=no lock="" scratch=""

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
        --platform) platform=$2 ;;
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
  [[ $dry_run == yes ]] ||
    die "found no ${CONTAINER_ENGINE:-docker or podman}; install it, or have CONTAINER_ENGINE name another." 1
  echo "${CONTAINER_ENGINE:-docker}"
}

git_revision() { # folder
  git -C "$1" rev-parse HEAD 2>/dev/null || true
}

changes() { # folder, paths in it: what differs from its git revision
  git -C "$1" status --porcelain -- "${@:2}" 2>/dev/null || true
}

default_tag() { # folder
  local revision shared=(components/Dockerfile fondant_spec image_toolkit pyproject.toml constraints.txt)
  revision=$(git_revision "$1")
  [[ -n $revision ]] || die "$1 is in no git checkout, so name a --tag."
  if [[ -n $(changes "$1" .)$(changes "$root" "${shared[@]}") ]]; then
    echo "${revision:0:12}-dirty"
  else
    echo "${revision:0:12}"
  fi
}

source_url() { # folder: where its code is from, without a name or token to sign in with
  if [[ -n $repo ]]; then
    echo "https://github.com/${namespace:-fondant}/$repo"
  else
    { git -C "$1" remote get-url origin 2>/dev/null || true; } | sed -E 's#^([^:/]+://)[^/]*@#\1#'
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

needs() { # folder, package: say yes if the component requires the package, else no
  if grep -Eiq "^$2([^A-Za-z0-9._-]|$)" "$1/requirements.txt" 2>/dev/null; then echo yes; else echo no; fi
}

stage() { # folder, component: make a build context for a component that is not in components/
  local place=$scratch/components/$2 file
  run mkdir -p -- "$place"
  run cp -R -- .dockerignore LICENSE README.md constraints.txt pyproject.toml fondant_spec \
    image_toolkit "$scratch"
  run cp -- components/Dockerfile "$scratch/components"
  for file in "$1"/*.y*ml "$1/requirements.txt" "$1/src"; do
    if [[ -e $file ]]; then run cp -RL -- "$file" "$place"; fi
  done
}

code_of() { # image: the digest of the code in it, read without running it
  local container found=yes
  container=$("$engine" create ${platform:+--platform "$platform"} -- "$1" true) || return
  "$engine" cp "$container:/component/code.digest" - | tar -xO || found=no
  "$engine" rm -- "$container" >/dev/null
  [[ $found == yes ]]
}

digest_in() { # image's name without the tag; reads an image's digests: the one in its registry
  local name=${1#docker.io/} # which engines leave out, or put before
  grep -m 1 -E "(^|/)${name//./\\.}@"
}

lock_of() { # folder: the lock file for its image; fondant_spec/runners/image_lock.py looks there
  local beside=${1%/*}
  if [[ -n $lock ]]; then
    echo "$lock"
  elif [[ ${beside##*/} == components || -f ${beside%/*}/build_images.sh ]]; then
    echo "${beside%/*}/images.lock"
  else
    echo "$beside/images.lock"
  fi
}

write_lock() { # file, component, image, id, digest, code: replace the component's line, or nothing
  (
    flock 9 2>/dev/null || : # builds side by side lose no line; not everywhere can a folder be locked
    {
      echo "# Written by build_images.sh: component, image, its id here, its digest in a registry, its code."
      {
        if [[ -f $1 ]]; then awk -v name="$2" '!/^#/ && $1 != name' "$1"; fi
        echo "${*:2}"
      } | sort
    } >"$1.tmp"
    mv -- "$1.tmp" "$1"
  ) 9<"$(dirname -- "$1")"
}

image_of() { # folder: the name of its image
  local component=${1##*/} version
  [[ $component =~ ^[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*$ ]] ||
    die "$component is no name of an image; rename the folder to small letters, digits and _."
  version=${tag:-$(default_tag "$1")} || return
  echo "$prefix$component:$version"
}

build() { # folder, image
  local folder=$1 image=$2 component=${1##*/} context=. id code digest=-
  echo "building $image"
  if [[ $folder != "$root/components/$component" ]]; then
    context=$scratch
    stage "$folder" "$component"
  fi
  run "$engine" build --file "$context/components/Dockerfile" --tag "$image" \
    --build-arg "COMPONENT=$component" --build-arg "TORCH=$(needs "$folder" torch)" \
    --build-arg "TORCHVISION=$(needs "$folder" torchvision)" \
    --build-arg "SOURCE=$(source_url "$folder")" \
    --build-arg "REVISION=$(git_revision "$folder")" --build-arg "VERSION=$version" \
    ${platform:+--platform "$platform"} ${options[@]+"${options[@]}"} "$context" ||
    die "building $component failed." 1
  if [[ $push == yes ]]; then
    run "$engine" push -- "$image" || die "pushing $component failed." 1
  fi
  [[ $dry_run == no ]] || return 0
  id=$("$engine" image inspect --format '{{.Id}}' -- "$image") ||
    die "$image was built, but $engine does not have it; to a builder of buildx, pass: -- --load" 1
  code=$(code_of "$image") || die "$image has no digest of its code." 1
  if [[ $push == yes ]]; then
    digest=$("$engine" image inspect --format '{{join .RepoDigests "\n"}}' -- "$image" |
      digest_in "$prefix$component") || die "$image was pushed, but has no digest." 1
  fi
  write_lock "$(lock_of "$folder")" "$component" "$image" "sha256:${id#sha256:}" "$digest" "$code"
}

read -ra all <<<"$(components | paste -sd ' ' -)"
known=${all[*]}
((${#chosen[@]})) || die "name a --component: all, some of: $known, or the folder of your own."
[[ $push == no || -n $namespace ]] || die "--push needs a --namespace, for whose images they are."

want() { # folder: to be built, once
  local other
  for other in ${wanted[@]+"${wanted[@]}"}; do
    if [[ $other == "$1" ]]; then return; fi
  done
  wanted+=("$1")
}

wanted=()
for component in "${chosen[@]}"; do
  if [[ $component == all ]]; then
    for name in "${all[@]}"; do want "$root/components/$name"; done
  elif [[ $component != */* && -f components/$component/fondant_component.yaml ]]; then
    want "$root/components/$component"
  elif folder=$(cd -- "$caller" && cd -P -- "$component" 2>/dev/null && pwd) &&
    [[ -f $folder/fondant_component.yaml ]]; then
    want "$folder"
  else
    die "there is no component $component; choose all, some of: $known, or a folder with a spec."
  fi
done

prefix=${registry:+$registry/}${namespace:-fondant}/
[[ -z $lock || $lock == /* ]] || lock=$caller/$lock
images=()
for folder in "${wanted[@]}"; do
  image=$(image_of "$folder")
  for other in ${images[@]+"${images[@]}"}; do
    [[ $other != "$image" ]] || die "$folder and another folder make one image, $image; rename one of them."
  done
  images+=("$image")
  place=$(dirname -- "$(lock_of "$folder")")
  [[ $dry_run == yes || -d $place && -w $place ]] ||
    die "$place, for images.lock, is no folder that can be written; name another with --lock."
done

engine=$(find_engine)
version=$(version)
trap '[[ -z $scratch ]] || rm -rf -- "$scratch"' EXIT

for index in "${!wanted[@]}"; do
  if [[ ${wanted[index]} != "$root/components/"* ]]; then scratch=${scratch:-$(mktemp -d)}; fi
  build "${wanted[index]}" "${images[index]}"
done
