#!/bin/sh
# build.sh [BINARIES]: makes target/debian/dcmsfs_VERSION_ARCH.deb from programs that are built already.
#
# BINARIES is the directory with `dcmsfs` and `mount-dcmsfs`; by default that of
#   cargo build --locked --release -p dcmsfs -p mount-helper
# Needs dpkg-deb; uses dpkg-shlibdeps (dpkg-dev) and strip (binutils) if they are there. No root, no network.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
source=$root/packaging
binaries=${1:-${CARGO_TARGET_DIR:-$root/target}/release}
output=$root/target/debian

fail() { echo "build.sh: $*" >&2; exit 1; }
for program in dcmsfs mount-dcmsfs; do
    [ -x "$binaries/$program" ] \
        || fail "$binaries/$program is missing; run: cargo build --locked --release -p dcmsfs -p mount-helper"
done
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
architecture=$(dpkg --print-architecture)
head -n 1 "$source/deb/changelog" | grep -qF "dcmsfs ($version) " \
    || fail "packaging/deb/changelog does not begin with version $version"

# Two builds of the same programs give the same package: its times are the changelog's.
stamp=$(date -d "$(sed -n 's/^ -- .*>  //p' "$source/deb/changelog" | head -n 1)" +%s)
export SOURCE_DATE_EPOCH="$stamp"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
umask 022
put() { install -D -m "$1" "$2" "$tree/$3"; }
put 755 "$binaries/dcmsfs" usr/bin/dcmsfs
# Never setuid: users' mounts go through fusermount3.
put 755 "$binaries/mount-dcmsfs" usr/sbin/mount.dcmsfs
if command -v strip >/dev/null; then
    strip --strip-unneeded --remove-section=.comment "$tree/usr/bin/dcmsfs" "$tree/usr/sbin/mount.dcmsfs"
fi
put 644 "$source/systemd/dcmsfs.service" usr/lib/systemd/user/dcmsfs.service
put 644 "$source/systemd/dcmsfs@.service" usr/lib/systemd/user/dcmsfs@.service
put 644 "$source/examples/config.toml" usr/share/doc/dcmsfs/examples/config.toml
put 644 "$source/README.md" usr/share/doc/dcmsfs/README.md
put 644 "$source/deb/changelog" usr/share/doc/dcmsfs/changelog
gzip -9n "$tree/usr/share/doc/dcmsfs/changelog"
put 644 "$source/deb/lintian-overrides" usr/share/lintian/overrides/dcmsfs
# The licence's text, in the indented form that the copyright file wants.
sed -n '/^Permission/,$p' "$root/LICENSE-MIT" | sed 's/^$/./; s/^/ /' >"$work/mit"
sed -e "/^@MIT@$/{r $work/mit" -e 'd;}' "$source/deb/copyright" >"$work/copyright"
put 644 "$work/copyright" usr/share/doc/dcmsfs/copyright
for page in "$source"/man/*.[1-8]; do
    name=${page##*/}
    put 644 "$page" "usr/share/man/man${name##*.}/$name"
    gzip -9n "$tree/usr/share/man/man${name##*.}/$name"
done

libraries='libc6 (>= 2.36), libgcc-s1 (>= 4.2)'
if command -v dpkg-shlibdeps >/dev/null; then
    # It insists on a source package's control file.
    mkdir -p "$work/debian"
    printf 'Source: dcmsfs\n\nPackage: dcmsfs\nArchitecture: any\n' >"$work/debian/control"
    found=$(cd "$work" && dpkg-shlibdeps -O -etree/usr/bin/dcmsfs -etree/usr/sbin/mount.dcmsfs 2>/dev/null) || found=
    [ -z "$found" ] || libraries=${found#shlibs:Depends=}
fi

mkdir "$tree/DEBIAN"
size=$(du -sk --apparent-size --exclude=DEBIAN "$tree" | cut -f 1)
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@SIZE@|$size|" \
    -e "s|@LIBRARIES@|$libraries|" "$source/deb/control.in" >"$tree/DEBIAN/control"
for script in postinst prerm postrm; do install -m 755 "$source/deb/$script" "$tree/DEBIAN/$script"; done
(cd "$tree" && find usr -type f | LC_ALL=C sort | xargs -d '\n' md5sum) >"$tree/DEBIAN/md5sums"
chmod 644 "$tree/DEBIAN/control" "$tree/DEBIAN/md5sums"
find "$tree" -newermt "@$stamp" -exec touch -h -d "@$stamp" {} +

mkdir -p "$output"
package=$output/dcmsfs_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$tree" "$package" >/dev/null
echo "$package"
