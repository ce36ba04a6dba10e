# The login against a provider that is not ours (tests/independent/provider): form, refusal, renewal, revocation.
# shellcheck shell=bash

login_with() { # WHO PASSWORD CONFIGURATION
    # A session of its own, so that nobody is asked on this terminal.
    # shellcheck disable=SC2016
    as "$1" setsid --wait sh -c 'printf "%s\n" "$1" | dcmsfs login --user someone --password-stdin --config "$2"' sh "$2" "$3"
}
login_token() { sed -n 's/^access_token = //p' "$WORK/home-$1/credentials.toml"; }
login_accepted() {
    local said mode
    said=$(login_with "$1" another-planet "$2") || wrong "$said" || return
    [ "$(grep -cE '^(access_token|refresh_token|password) = ".{20,}"$' "$WORK/home-$1/credentials.toml")" -eq 3 ] \
        || wrong "three tokens are expected" || return
    mode=$(stat -c %a "$WORK/home-$1/credentials.toml")
    [ "$mode" = 600 ] || wrong "mode $mode"
}
login_wrong_password() {
    local said
    ! said=$(login_with "$1" wrong "$2" 2>&1) || wrong "accepted: $said" || return
    grep -q "Invalid username or password." <<<"$said" || wrong "$said"
}
# A refresh token of this provider works once: the second renewal shows that the first one's was kept.
login_renewed() {
    local who=$1 first second
    first=$(login_token "$who")
    until_true 20 login_differs "$who" "$first" || wrong "not renewed" || return
    second=$(login_token "$who")
    until_true 20 login_differs "$who" "$second" || wrong "renewed once only" || return
    as "$who" dcmsfs status "$M" | grep -q "cache-a .*account: logged in as someone" || wrong "status"
}
login_differs() { [ "$(login_token "$1")" != "$2" ]; }
login_revoked() {
    local said
    said=$(as "$1" dcmsfs logout --config "$2") || wrong "$said" || return
    grep -q "were revoked" <<<"$said" || wrong "$said"
}

step_login() {
    local who port server configuration
    if ! [ -d "$INDEPENDENT/provider/node_modules" ] || ! command -v node >/dev/null; then
        skip login "it needs node and npm; then tests/independent/setup.sh $INDEPENDENT installs the provider"
        return
    fi
    port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    (cd "$INDEPENDENT/provider" && exec node "$root/tests/independent/provider/provider.mjs" "$port" 5) \
        >"$WORK/provider.log" 2>&1 &
    server=$!
    if ! until_true 20 grep -q ^ready: "$WORK/provider.log"; then
        check "login: the provider starts" wrong "$(cat "$WORK/provider.log")"
        return
    fi
    for who in $WHO; do
        configuration=$WORK/login-$who.toml
        { sed '/^\[identity\]/,$d; /^\[credentials\]/,$d' "$WORK/services-$who.toml"; cat; } >"$configuration" <<END
[identity]
url = "http://127.0.0.1:$port"
[credentials]
file = "$WORK/home-$who/credentials.toml"
netrc = ""
END
        chmod 644 "$configuration"
        check "login.$who: a wrong password is told in the provider's words" login_wrong_password "$who" "$configuration"
        check "login.$who: both services from one password" login_accepted "$who" "$configuration"
        mount_it "$who" login login || continue
        check "login.$who: the mount renews, and again" login_renewed "$who"
        check "login.$who: a logout revokes" login_revoked "$who" "$configuration"
    done
    kill "$server"
}
