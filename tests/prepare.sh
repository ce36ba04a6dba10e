#!/bin/sh
# prepare.sh demo|test|bench: installs what the demo, the tests or the benchmarks need and is not there yet. Debian and Ubuntu; uses
# sudo only if not root. Prints nothing but what it installs.
#
# Everything of Python goes into TARGET/venv (and TARGET/zarr2, TARGET/independent), nothing into the system or the home.
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
needed=${1:-}
fail() { echo "prepare.sh: $*" >&2; exit 2; }
case $needed in demo | test | bench) ;; *) fail "usage: prepare.sh demo|test|bench" ;; esac

# package, and the file or program that shows that it is there
packages() {
    cat <<'END'
gcc cc
libc6-dev /usr/include/stdio.h
make make
pkg-config pkg-config
fuse3 fusermount3
gdal-bin gdalinfo
python3 python3
python3-venv :venv
END
    [ "$needed" != bench ] || cat <<'END'
rclone rclone
curl curl
util-linux unshare
END
    [ "$needed" != test ] || cat <<'END'
rsync rsync
curl curl
procps pgrep
attr getfattr
util-linux unshare
nginx-light nginx
END
}

present() {
    case $1 in
        :venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        /*) [ -e "$1" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing=$(packages | while read -r package sign; do present "$sign" || printf ' %s' "$package"; done)
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || fail "please install, by the names that this system has for them:$missing"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "please install as root: apt-get install$missing"
        as_root=sudo
    fi
    echo "installing$missing"
    # No package may start a server here: a policy for this one installation forbids it.
    # shellcheck disable=SC2086 # the names are words
    $as_root sh -eu -c '
        policy=/usr/sbin/policy-rc.d
        made=
        [ -e $policy ] || { printf "#!/bin/sh\nexit 101\n" >$policy; chmod 755 $policy; made=1; }
        trap "[ -z \"\$made\" ] || rm -f $policy" EXIT
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    ' prepare.sh $missing || fail "these could not be installed:$missing"
fi

command -v cargo >/dev/null || fail "there is no Rust toolchain: install one from https://rustup.rs"
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
have=$(cd "$root" && rustc --version | cut -d ' ' -f 2)
[ "$(printf '%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1)" = "$wanted" ] \
    || fail "Rust $wanted or newer is needed, this is $have: run \`rustup update\`"

mkdir -p "$target"
# install ENVIRONMENT LIST NAME: into that Python; NAME is where a copy of the list says that it is done.
install() {
    cmp -s "$root/$2" "$target/$1/$3" && return
    echo "installing Python packages into $target/$1"
    [ -x "$target/$1/bin/pip" ] || python3 -m venv "$target/$1"
    "$target/$1/bin/pip" install --quiet --no-input --disable-pip-version-check -r "$root/$2"
    # Copied last, so that an interrupted installation is done again.
    cp "$root/$2" "$target/$1/$3"
}
install venv tests/requirements.txt requirements.txt
[ "$needed" != bench ] || install venv benches/read_path/requirements.txt bench-requirements.txt
[ "$needed" != test ] || install zarr2 tests/requirements-zarr2.txt requirements.txt
[ "$needed" = test ] || exit 0

"$root/tests/independent/setup.sh" "$target/independent" >/dev/null
if ! cargo nextest --version >/dev/null 2>&1; then
    # It runs each test as a process and kills what hangs, which a mount can make unkillable by anything softer.
    echo "installing cargo-nextest (some minutes)"
    # Its own directory: its build shares nothing with ours.
    cargo install --quiet --locked cargo-nextest --version 0.9.143 --target-dir "$target/nextest"
    rm -rf "$target/nextest"
fi
for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 || rustup component add rustfmt clippy
done
