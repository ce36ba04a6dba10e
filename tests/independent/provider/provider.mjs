// An OpenID provider that is not ours: the package oidc-provider behind a login page of the form that the real one
// shows: the paths of the realm, the two clients, the ids of the form and of the reason (protocol.md 2).
//
//   node provider.mjs PORT [ACCESS_TOKEN_SECONDS]
//
// One account, `someone` with the password `another-planet`. It rotates refresh tokens, as the package does for clients
// without a secret, ends both when one is used twice, and asks for no consent. Run it from the directory in which the
// package is installed.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(`${process.cwd()}/`));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const [port, seconds] = [Number(process.argv[2]), Number(process.argv[3] ?? 300)];
const origin = `http://127.0.0.1:${port}`;
const prefix = '/realms/desp';
const connect = '/protocol/openid-connect';

const client = (client_id, redirect_uri, application_type) => ({
  client_id,
  redirect_uris: [redirect_uri],
  application_type,
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
});

const provider = new Provider(`${origin}${prefix}`, {
  clients: [
    client('dcms_client', 'http://localhost:5000', 'native'),
    client('edh-public', 'https://cacheb.dcms.destine.eu/', 'web'),
  ],
  scopes: ['openid', 'offline_access'],
  routes: {
    authorization: `${connect}/auth`,
    token: `${connect}/token`,
    revocation: `${connect}/revoke`,
    jwks: `${connect}/certs`,
  },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  pkce: { required: () => false },
  issueRefreshToken: async () => true,
  ttl: { AccessToken: seconds, RefreshToken: 30 * 86400, Session: 3600, Interaction: 600, Grant: 30 * 86400 },
  interactions: { url: (_, interaction) => `${prefix}/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  // No page that asks for consent.
  loadExistingGrant: async (context) => {
    const grant = new provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    });
    grant.addOIDCScope('openid offline_access');
    await grant.save();
    return grant;
  },
  cookies: { keys: ['a key for tests'] },
});
provider.on('server_error', (_, error) => console.error(error));

const page = (uid, reason) => `<!DOCTYPE html><html><head><title>Sign in</title>
<script>var notAForm = "<form action='/nowhere'>";</script></head><body>
<form id="kc-form-login" action="${prefix}/interaction/${uid}?session_code=x&amp;tab_id=y" method="post">
<input id="username" name="username" type="text">
${reason ? `<span id="input-error" aria-live="polite">\n  ${reason}\n</span>` : ''}
<input id="password" name="password" type="password">
<input type="hidden" name="credentialId"><input name="login" type="submit" value="Sign In"></form></body></html>`;

async function interaction(request, response) {
  const { uid, prompt } = await provider.interactionDetails(request, response);
  // The package wants to ask again before a program of the user's own machine is let in.
  if (prompt.name === 'consent') return provider.interactionFinished(request, response, { consent: {} });
  const show = (reason) => response.writeHead(200, { 'content-type': 'text/html;charset=utf-8' }).end(page(uid, reason));
  if (request.method !== 'POST') return show();
  let body = '';
  for await (const piece of request) body += piece;
  const form = new URLSearchParams(body);
  if (form.get('username') !== 'someone' || form.get('password') !== 'another-planet') {
    return show('Invalid username or password.');
  }
  return provider.interactionFinished(request, response, { login: { accountId: 'someone' } });
}

const answer = provider.callback();
createServer((request, response) => {
  if (request.url.startsWith(`${prefix}/interaction/`)) {
    interaction(request, response).catch((error) => response.writeHead(400).end(`${error.message}\n`));
  } else if (request.url.startsWith(prefix)) {
    // The package finds out by this that it does not stand at the root.
    request.originalUrl = request.url;
    request.url = request.url.slice(prefix.length);
    answer(request, response);
  } else {
    response.writeHead(404).end();
  }
}).listen(port, '127.0.0.1', () => console.log(`ready: ${origin}`));
