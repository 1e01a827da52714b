# shellcheck shell=bash
# What a fresh Debian 12 lacks, and the build. Downloads are kept in build/deps, so that they happen once.
#
#   install_packages KIND…     Debian's packages of deploy/packages.txt
#   install_kafka, install_objects, install_test_python     what deploy/versions.txt pins
#   build PRESET [TARGET]
#   build_release, build_dev, …: build PRESET as one word

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DEPS=$ROOT/build/deps

listed() { # listed FILE KIND…: the second word of the lines of these kinds
    awk -v kinds=" ${*:2} " '!/^#/ && index(kinds, " " $1 " ") { print $2 }' "$1"
}

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

install_packages() {
    local missing
    mapfile -t missing < <(comm -23 <(listed "$ROOT/deploy/packages.txt" "$@" | sort) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u))
    ((${#missing[@]} == 0)) && return
    as_root apt-get update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

made_once() { # made_once FOLDER KIND COMMAND…: runs it, unless FOLDER was made from the same pins
    local folder=$1 pins
    pins=$(listed "$ROOT/deploy/versions.txt" "$2")
    shift 2
    [[ -f $folder/.pins && $(< "$folder/.pins") == "$pins" ]] && return
    rm -rf "$folder"
    mkdir -p "$folder"
    "$@" "$folder" "$pins"
    echo "$pins" > "$folder/.pins"
}

fetch_jars() {
    local properties
    mapfile -t properties <<< "$2"
    mvn -B -ntp -f "$ROOT/deploy/local/pom.xml" "${properties[@]/#/-D}" -DoutputDirectory="$1" \
        dependency:copy-dependencies
}

make_venv() {
    /usr/bin/python3 -m venv "$1"
    "$1/bin/pip" install --disable-pip-version-check --no-deps -r /dev/stdin <<< "$2"
}

install_kafka() { made_once "$DEPS/kafka" maven fetch_jars; }
install_objects() { made_once "$DEPS/seaweedfs" stack make_venv; }
install_test_python() { made_once "$ROOT/build/venv" tests make_venv; }

build() {
    (cd "$ROOT" && cmake --preset "$1" && cmake --build --preset "$1" -j "$(nproc)" ${2:+--target "$2"})
}
build_release() { build release; }
build_dev() { build dev; }
