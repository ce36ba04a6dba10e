# The programs inside of a package that was built before (packaging/deb/build.sh); packaging/deb/check.sh installs it.
# shellcheck shell=bash

package_runs() { # PACKAGE
    local version
    version=$(dpkg-deb -f "$1" Version) || return
    mkdir -p "$WORK/package" && dpkg-deb -x "$1" "$WORK/package" && chmod 755 "$WORK/package" || return
    same "$(as user "$WORK/package/usr/bin/dcmsfs" --version)" "dcmsfs $version" || return
    same "$(as user "$WORK/package/usr/sbin/mount.dcmsfs" --version)" "mount.dcmsfs $version" || return
    same "$(find "$WORK/package" -perm /6000)" ""
}
package_mounts() {
    local point
    point=$(place user package)
    as user "$WORK/package/usr/bin/dcmsfs" --config "$WORK/services-user.toml" "$point" >/dev/null || return
    as user cmp "$point/$S5P_DIRECTORY/$S5P" "$COPY/$S5P" || return
    as user "$WORK/package/usr/bin/dcmsfs" unmount "$point"
}

step_package() {
    local package
    # Not one that is older than the programs.
    package=$(find "$root/target/debian" -name 'dcmsfs_*.deb' -newer "$BINARIES/dcmsfs" 2>/dev/null | head -n 1)
    if [ -z "$package" ] || ! command -v dpkg-deb >/dev/null; then
        skip package "packaging/deb/build.sh makes one"
        return
    fi
    check "package: its programs run" package_runs "$package"
    check "package: it mounts" package_mounts
}
