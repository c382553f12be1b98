// The page with node's own fetch. Started by run.sh.

const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const { after, beforeEach, test } = require("node:test");
const { setTimeout: sleep } = require("node:timers/promises");

const { Agent, setGlobalDispatcher } = require("undici");

const { env } = process;
const v1 = `${env.KMS_RESTAPI_ENDPOINT}/v1`;
const secrets = `${v1}/secrets`;
const credentials = `${secrets}/environments/production/salesforce/api-credentials`;
const password = `${secrets}/app/db/password`;
const { paths, types, filters, answers } = JSON.parse(readFileSync(env.EXPECTED, "utf8"));

// fetch knows of no client certificates; the agent behind it does.
const agent = (cert, key) =>
  new Agent({ connect: { ca: readFileSync(env.KMS_RESTAPI_CA), cert: readFileSync(cert), key: readFileSync(key) } });
setGlobalDispatcher(agent(env.KMS_RESTAPI_CERT, env.KMS_RESTAPI_KEY));
const dispatcher = agent(env.TENANT_CERT, env.TENANT_KEY);

const headers = { Authorization: `Bearer ${env.TOKEN}` };
const partner = { Authorization: `Bearer ${env.PARTNER_ADMIN_TOKEN}` };
const tenant = { Authorization: `Bearer ${env.TENANT_TOKEN}` };
const send = (method, url, body, more = {}) =>
  fetch(url, { method, headers: { ...headers, "Content-Type": "application/json", ...more }, body: JSON.stringify(body) });
const put = (url, body, more) => send("PUT", url, body, more);
const get = (url) => fetch(url, { headers });
const data = async (url) => (await (await get(url)).json()).data;

// What is never the same twice is told by its kind.
function mask(key, value) {
  if (key === "access_count_30d" && typeof value === "number") return "<count>";
  if (typeof value !== "string") return value;
  if (key === "next_rotation" && value.endsWith("T00:00:00Z")) return "<midnight>";
  if (key === "cursor" || key === "request_id" || value.startsWith("cert:")) return "<opaque>";
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value)) {
    return `<now +${Math.round((Date.parse(value) - Date.now()) / 3600_000)} h>`;
  }
  return value.includes(" ") ? "<prose>" : value;
}

const seen = new Set();
// The whole answer is the one of this name; how it was before it was masked.
async function same(resp, name, instead = {}) {
  seen.add(name);
  const body = await resp.json();
  assert.deepEqual([resp.status, JSON.parse(JSON.stringify({ ...body, ...instead }), mask)], answers[name]);
  assert.equal(resp.ok, answers[name][0] < 400);
  return body;
}
async function done(resp) {
  assert.ok(resp.ok, await resp.text());
}

// Three versions of the page's second secret.
async function three() {
  const metadata = { description: "PostgreSQL", tags: ["postgres", "production"] };
  await done(await put(password, { data: { password: "one" }, metadata, options: { rotation_policy_id: "rot_quarterly" } }));
  for (const word of ["two", "three"]) await done(await put(password, { data: { password: word } }));
}

beforeEach(async () => {
  for (const path of paths) await send("DELETE", `${secrets}/${path}?permanent=true`);
  await send("DELETE", `${v1}/t/tnt_acme_dev/secrets/app/db/password?permanent=true`);
});
after(() => assert.deepEqual([...seen].sort(), Object.keys(answers).sort()));

test("reading and writing", async () => {
  let resp = await fetch(credentials, {
    method: "PUT",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify({
      data: { client_id: "3MVG9...", client_secret: "REDACTED" },
      secret_type: "json",
      metadata: { description: "Salesforce", tags: ["salesforce", "oauth", "production"] },
      options: { max_versions: 10, expires_in: "90d", rotation_policy_id: "rot_quarterly" },
    }),
  });
  await same(resp, "created");
  for (const n of [2, 3, 4]) {
    resp = await put(credentials, {
      data: { client_id: "3MVG9...", client_secret: `REDACTED-${n}` },
      secret_type: "json",
      metadata: { tags: ["salesforce", "production"] },
      options: { max_versions: 10 },
    });
  }
  await same(resp, "updated");
  await same(await fetch(credentials, { headers }), "read");
  await same(await get(`${credentials}?version=2`), "version read");

  for (const [type, data] of Object.entries(types)) {
    resp = await put(`${secrets}/test/type-${type}`, { data, secret_type: type });
    assert.deepEqual([resp.status, (await resp.json()).secret_type], [201, type]);
  }
  resp = await put(`${secrets}/test/every-field`, {
    data: { key: "k" },
    secret_type: "api_key",
    metadata: { description: "everything", tags: ["one"], owner: "team:shop" },
    options: {
      max_versions: 100,
      expires_at: new Date(Date.now() + 24 * 3600_000).toISOString(),
      rotation_policy_id: "rot_quarterly",
      secret_policy_id: "sp_generated",
    },
  });
  await done(resp);
  await same(await get(`${secrets}/metadata/test/every-field`), "every field");
  await same(await put(password, {}), "no data");
  await same(await put(password, { data: {}, options: { max_versions: 101 } }), "too many versions");
});

test("what is said of a secret", async () => {
  await three();
  const kept = await get(password);
  const metadata = { tags: ["postgres", "production", "critical"] };
  await same(await send("PATCH", password, { metadata, options: { max_versions: 25 } }), "patched");
  // What somebody has kept is good still.
  const resp = await fetch(password, { headers: { ...headers, "If-None-Match": kept.headers.get("etag") } });
  assert.deepEqual([resp.status, await resp.text()], [304, ""]);
});

test("lists, and what ends", async () => {
  const write = async (path, body) => done(await put(`${secrets}/${path}`, { data: { n: 1 }, ...body }));
  await write("test/ended", { options: { expires_in: "1s" } });
  await done(
    await put(credentials, {
      data: { client_id: "3MVG9..." },
      secret_type: "json",
      metadata: { tags: ["salesforce", "oauth", "production"] },
      options: { expires_in: "90d" },
    }),
  );
  await write("test/oauth-token", { options: { expires_in: "9d" } });
  await write("test/type-certificate", { data: { cert_pem: "..." }, secret_type: "certificate" });
  await three();
  await sleep(2000);

  const prefix = "environments/production/";
  let resp = await fetch(`${secrets}?${new URLSearchParams({ prefix, limit: "50" })}`, { headers });
  let listing = await resp.clone().json();
  await same(resp, "listed", { secrets: listing.secrets.slice(0, 1) });
  assert.equal(listing.secrets.length, 50);
  const found = [];
  for (const s of listing.secrets) {
    assert.deepEqual(Object.keys(s).sort(), Object.keys(answers.listed[1].secrets[0]).sort());
    found.push(s.path);
  }
  while (listing.has_more) {
    resp = await fetch(`${secrets}?${new URLSearchParams({ prefix, cursor: listing.cursor })}`, { headers });
    listing = await resp.clone().json();
    for (const s of listing.secrets) found.push(s.path);
  }
  await same(resp, "last page", { secrets: [] });
  assert.deepEqual(found, [...new Set(found)].sort());
  assert.equal(found.length, 127);

  for (const [query, expected] of filters) {
    listing = await (await get(`${secrets}?${new URLSearchParams(query)}`)).json();
    assert.deepEqual(listing.secrets.map((s) => s.path), expected, query);
  }
  await done(await get(password));
  await same(await get(`${secrets}?prefix=app/&include_metadata=true`), "listed with metadata");

  await same(await get(`${secrets}/expiring?days=30`), "expiring");
  await same(await get(`${secrets}/test/ended`), "secret_expired");
});

test("versions and metadata", async () => {
  await three();
  await same(await get(`${password}/versions`), "versions");
  const before = await (await get(`${secrets}/metadata/app/db/password`)).json();
  await done(await get(password));
  await done(await get(`${password}?version=1`));
  const metadata = await same(await get(`${secrets}/metadata/app/db/password`), "metadata");
  assert.equal(metadata.access_count_30d, before.access_count_30d + 2);
});

test("deleting and restoring", async () => {
  await three();
  await done(await get(password));
  await same(await fetch(password, { method: "DELETE", headers }), "deleted");
  await same(await get(password), "gone for now");
  await same(await put(password, { data: { password: "four" } }), "secret_exists");
  await same(await fetch(`${password}/restore`, { method: "POST", headers }), "restored");
  await same(await fetch(`${password}?version=2`, { method: "DELETE", headers }), "version deleted");
  await same(await get(`${password}?version=2`), "version_not_found");
  assert.deepEqual(await data(password), { password: "three" });
  await same(await fetch(`${password}?permanent=true`, { method: "DELETE", headers }), "deleted for good");
  await same(await fetch(`${password}/restore`, { method: "POST", headers }), "secret_not_found");
});

test("rotation", async () => {
  await three();
  const reason = "a laptop was lost";
  const new_value = { password: "new-strong-password" };
  await same(await send("POST", `${password}/rotate`, { reason, new_value, grace_period: "1h" }), "rotated");
  assert.deepEqual(await data(password), new_value);
  assert.deepEqual(await data(`${password}?version=3`), { password: "three" });
  const generated = `${secrets}/test/generated`;
  const options = { rotation_policy_id: "rot_generated", secret_policy_id: "sp_generated" };
  await done(await put(generated, { data: { password: "x" }, options }));
  await same(await send("POST", `${generated}/rotate`, { reason }), "generated");
  assert.match((await data(generated)).password, /^[0-9a-f]{16}$/);
});

test("partners and their tenants", async () => {
  const shared = `${v1}/partner/secrets/shared/trust-anchor`;
  const value = { data: { cert_pem: "..." }, secret_type: "certificate" };
  const asTenant = (url, method = "GET", body) =>
    fetch(url, { method, headers: tenant, body: JSON.stringify(body), dispatcher });
  await same(await put(shared, value, partner), "shared");
  await same(await asTenant(shared), "shared, as a tenant reads it");
  await same(await asTenant(shared, "PUT", value), "access_denied");
  await done(await asTenant(password, "PUT", { data: { password: "acme" } }));
  await three();
  await same(await fetch(`${v1}/t/tnt_acme_dev/secrets/app/db/password`, { headers: partner }), "the tenant's");
  await same(await fetch(password, { headers: { ...partner, "X-Tenant-ID": "tnt_acme_dev" } }), "the tenant's");
  await same(await fetch(`${v1}/t/tnt_of_nobody/secrets/app/db/password`, { headers: partner }), "access_denied");
});

test("errors", async () => {
  await same(await get(password), "secret_not_found");
  await same(await put(`${secrets}/app//password`, { data: { password: "x" } }), "invalid_path");
  await three();
  await same(await get(`${password}?version=9`), "version_not_found");
  // Somebody else has written in between: read again, and once more.
  const four = { data: { password: "four" } };
  await same(await put(password, four, { "If-Match": '"2"' }), "version_conflict");
  const etag = (await get(password)).headers.get("etag");
  assert.equal((await (await put(password, four, { "If-Match": etag })).json()).version, 4);
  // Old versions go with a new one.
  await done(await send("PATCH", password, { options: { max_versions: 1 } }));
  await done(await put(password, { data: { password: "five" } }));
  await same(await get(`${password}?version=4`), "version_not_found");
});
