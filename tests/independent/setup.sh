#!/bin/sh
# setup.sh ENVIRONMENT: installs the independent servers. Run again, it only checks.
set -eu
[ $# -eq 1 ] || { echo "usage: setup.sh ENVIRONMENT" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
environment=$1

if ! command -v nginx >/dev/null && ! [ -x /usr/sbin/nginx ]; then
    [ "$(id -u)" -eq 0 ] || { echo "setup.sh: nginx is missing; install it: apt-get install nginx-light" >&2; exit 2; }
    # No system-wide server: a policy for this one installation keeps the package from starting one.
    policy=/usr/sbin/policy-rc.d
    made=
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; }
    status=0
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends nginx-light >/dev/null; } || status=$?
    [ -z "$made" ] || rm -f $policy
    [ $status -eq 0 ] || { echo "setup.sh: nginx could not be installed" >&2; exit 2; }
fi

if ! cmp -s "$here/requirements.txt" "$environment/requirements.txt"; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || { echo "setup.sh: Python 3.11 or newer is needed" >&2; exit 2; }
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --no-input --disable-pip-version-check -r "$here/requirements.txt"
    # Copied last, so that an interrupted installation is done again.
    cp "$here/requirements.txt" "$environment/requirements.txt"
fi
if command -v node >/dev/null && command -v npm >/dev/null; then
    provider=$environment/provider
    if ! cmp -s "$here/provider/package.json" "$provider/package.json"; then
        rm -rf "$provider" && mkdir -p "$provider/new"
        cp "$here/provider/package.json" "$provider/new/"
        (cd "$provider/new" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts)
        # The description last, so that an interrupted installation is done again.
        mv "$provider/new/node_modules" "$provider/" && mv "$provider/new/package.json" "$provider/"
        rmdir "$provider/new"
    fi
else
    echo "setup.sh: without node and npm there is no OpenID provider: the step login is not run" >&2
fi
echo "independent servers are installed in $environment"
