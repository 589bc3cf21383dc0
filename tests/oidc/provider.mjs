// A certified OpenID provider for the tests: code flow with PKCE, made-up people, keys that can be changed.
//
//   node provider.mjs CONFIGURATION   (JSON: port, jwks, clients)
//
// It says "ready" once it listens. SIGHUP reads the configuration anew, which is how keys are rotated. At /control it
// tells how often its keys were fetched, and takes {"keys": "ok" | "hang" | "down"}.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { Provider } from "oidc-provider";

const file = process.argv[2];
let handler,
  keys = "ok",
  fetches = 0,
  port;

function configure() {
  const configuration = JSON.parse(readFileSync(file));
  port = configuration.port;
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    jwks: configuration.jwks,
    clients: configuration.clients,
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: false, // the id_token holds the person's claims, as those of the big providers do
    cookies: { keys: ["tests only"] },
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "HS256"] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_ctx, sub) => ({
      accountId: sub,
      claims: () => ({ sub, name: `Person ${sub}`, email: `${sub}@example.com`, email_verified: true }),
    }),
    pkce: { required: () => true },
    ttl: { IdToken: 600 },
  });
  handler = provider.callback();
}

function control(request, response) {
  let body = "";
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    if (body) {
      keys = JSON.parse(body).keys;
      fetches = 0;
    }
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ fetches }));
  });
}

configure();
process.on("SIGHUP", configure);
createServer((request, response) => {
  if (request.url === "/control") return control(request, response);
  if (request.url === "/jwks") {
    fetches += 1;
    if (keys === "hang") return undefined;
    if (keys === "down") {
      response.statusCode = 503;
      return response.end();
    }
  }
  return handler(request, response);
}).listen(port, "127.0.0.1", () => console.log("ready"));
