#!/usr/bin/env bash
# Makes the machine ready: Debian packages that are missing, then .venv with the pinned Python
# packages, and a storage server for tests that npm has. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
# Scripts that call this may have .venv first on PATH, and .venv is not to be made by itself.
PATH=${PATH//"$PWD/.venv/bin:"/}

python=""
for candidate in "${PYTHON:-}" python3.11 python3; do
  if [[ -n $candidate ]] && command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$(command -v "$candidate")
    break
  fi
done
if [[ -z $python ]]; then
  echo "setup: Python 3.11 or newer is needed (python3.11 or python3 on PATH, or PYTHON=...)" >&2
  exit 1
fi

packages=(g++ ccache libgtest-dev libgmock-dev libbenchmark-dev libcli11-dev
  nlohmann-json3-dev libxxhash-dev libjpeg-dev libpng-dev libwebp-dev libzstd-dev
  libroaring-dev libcurl4-gnutls-dev libssl-dev openssl libsqlite3-dev
  libthrift-dev thrift-compiler libboost-dev "$@")
# A JDK of any maker, for the tests' Spark and Hive Metastore: javac tells it from a JRE.
command -v javac >/dev/null || packages+=(openjdk-17-jdk-headless)
series=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
"$python" -c 'import ensurepip' 2>/dev/null || packages+=("$series-venv")
"$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || packages+=("$series-dev")

if command -v dpkg-query >/dev/null; then
  installed=$(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null |
    sed -n 's/^\([^: ]*\)[^ ]* installed$/\1/p' || true)
  missing=()
  for package in "${packages[@]}"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
  done
  if ((${#missing[@]})); then
    as_root=()
    if ((EUID != 0)); then
      if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
        as_root=(sudo)
      else
        echo "setup: Debian packages are missing. As root, run this, then try again:" >&2
        echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 1
      fi
    fi
    echo "setup: installing ${missing[*]}"
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
          apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
      cat "$log" >&2
      rm -f "$log"
      exit 1
    fi
    rm -f "$log"
  fi
else
  echo "setup: no dpkg here; what the build needs, by Debian's names: ${packages[*]}" >&2
fi

wanted=$(cat tools/requirements.txt "$0" <(echo "$python") | sha256sum)
stamp=.venv/headrace-setup.sha256
if [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi
echo "setup: Python packages into .venv"
"$python" -m venv --clear .venv
log=.venv/setup.log
logged() {
  if ! "$@" >>"$log" 2>&1 </dev/null; then
    tail -20 "$log" >&2
    exit 1
  fi
}
install() {
  logged .venv/bin/python -m pip install --disable-pip-version-check "$@"
}
install "$(grep '^torch==' tools/requirements.txt)"
install -r tools/requirements.txt
logged .venv/bin/npm install --prefix .venv/azurite --no-save --ignore-scripts --no-audit \
  --no-fund azurite@3.37.0
echo "$wanted" >"$stamp"
