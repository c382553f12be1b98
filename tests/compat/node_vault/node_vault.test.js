// node-vault against a running okmsd. Started by run.sh.

const assert = require("node:assert/strict");
const { randomUUID } = require("node:crypto");
const { once } = require("node:events");
const fs = require("node:fs");
const { after, before, test } = require("node:test");

const nodeVault = require("node-vault");

// The longest life of a token, and the one that it gets when it asks for none.
const maxTtl = 768 * 3600;
const minute = 60_000;

const ca = fs.readFileSync(process.env.VAULT_CACERT);
const cert = fs.readFileSync(process.env.VAULT_CLIENT_CERT);
const key = fs.readFileSync(process.env.VAULT_CLIENT_KEY);

// node-vault takes the address from VAULT_ADDR, and the files of TLS as options of every request.
const connect = (options = {}) => nodeVault({ requestOptions: { ca, cert, key }, ...options });
const vault = connect();
const bare = connect({ requestOptions: { ca } });
const native = connect({ apiVersion: "v2" });
const putConfig = (json) => native.request({ path: "/secretConfig", method: "PUT", json, ca, cert, key });

const folder = `node-vault/${randomUUID()}`;
const secrets = [];
let config;

before(async () => {
  // Suites share the server: versions that expire on their own, or a CAS that another suite asked for, would spoil
  // what is checked here. The native API keeps the domain's config as it was typed.
  config = await native.read("secretConfig");
  await putConfig({ casRequired: false, deactivateVersionAfter: "0s" });
});
after(async () => {
  for (const path of secrets) await vault.delete(`secret/metadata/${path}`);
  await putConfig(config);
});

// A path that no run before has used; the secret goes at the end.
function fresh(name) {
  const path = `${folder}/${name}`;
  secrets.push(path);
  return path;
}

// The data of an answer, after a look at the envelope.
function data(answer) {
  assert.match(answer.request_id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const { lease_id, renewable, lease_duration, wrap_info, warnings, auth } = answer;
  assert.deepEqual(
    { lease_id, renewable, lease_duration, wrap_info, warnings, auth },
    { lease_id: "", renewable: false, lease_duration: 0, wrap_info: null, warnings: null, auth: null },
  );
  return answer.data;
}

// The facts about a version that a write answers and a read shows.
function version(found, expected) {
  const { created_time, ...rest } = found;
  assert.ok(Math.abs(Date.now() - Date.parse(created_time)) < minute, created_time);
  assert.deepEqual(rest, { custom_metadata: null, deletion_time: "", destroyed: false, ...expected });
}

// A refusal of this status in the form that all errors have; `message` is what node-vault makes of it. The body.
async function refused(call, status, message) {
  const error = await call.then(
    (answer) => assert.fail(`not refused: ${JSON.stringify(answer)}`),
    (error) => error,
  );
  assert.equal(error.response?.statusCode, status, error);
  if (message instanceof RegExp) assert.match(error.message, message);
  else assert.equal(error.message, message);
  const { errors, error_code, error_id, request_id } = error.response.body;
  assert.ok(Array.isArray(errors) && Number.isInteger(error_code) && error_id && request_id, error);
  return error.response.body;
}
// A 404 that says nothing: there is no value.
const absent = async (call) => assert.deepEqual((await refused(call, 404, "Status 404")).errors, []);

// A login's answer, with all that clients look for.
function login(answer) {
  const { auth } = answer;
  assert.equal(typeof auth.client_token, "string");
  assert.ok(Number.isInteger(auth.lease_duration));
  const { policies, token_policies, token_type, orphan, num_uses } = auth;
  assert.deepEqual(
    { policies, token_policies, token_type, orphan, num_uses },
    { policies: ["default"], token_policies: ["default"], token_type: "service", orphan: true, num_uses: 0 },
  );
  return auth;
}

test("write and read", async () => {
  const path = `secret/data/${fresh("value")}`;
  const value = { text: "<ä>&\u{1f511}\"\\", list: [1, 1.5, null, true, {}], "": { nested: {} } };
  version(data(await vault.write(path, { data: value })), { version: 1 });
  const read = data(await vault.read(path));
  assert.deepEqual(read.data, value);
  version(read.metadata, { version: 1 });

  version(data(await vault.write(path, { data: {} })), { version: 2 });
  assert.deepEqual(data(await vault.read(path)).data, {});
  assert.deepEqual(data(await vault.read(`${path}?version=1`)).data, value);
  assert.deepEqual(data(await vault.read(`${path}?version=2`)).data, {});
  await absent(vault.read(`${path}?version=3`));
  await absent(vault.read(`secret/data/${folder}/none`));

  await refused(vault.write(path, {}), 400, "no data provided");
  await refused(vault.write(path), 400, "no data provided");
  await refused(vault.write(path, { data: null }), 400, "no data provided");
});

test("names are escaped by the caller", async () => {
  for (const name of ["a b", "a?b", "käse", "a%b"]) {
    const path = fresh(encodeURIComponent(name));
    await vault.write(`secret/data/${path}`, { data: { name } });
    assert.deepEqual(data(await vault.read(`secret/data/${path}`)).data, { name });
    assert.ok(data(await vault.list(`secret/metadata/${folder}`)).keys.includes(name));
  }
});

test("check-and-set", async () => {
  const path = `secret/data/${fresh("cas")}`;
  const write = (cas) => vault.write(path, { data: { cas }, options: { cas } });
  version(data(await write(0)), { version: 1 });
  const mismatch = "check-and-set parameter did not match the current version";
  await refused(write(0), 400, mismatch);
  version(data(await write(1)), { version: 2 });
  await refused(write(1), 400, mismatch);
  assert.deepEqual(data(await vault.read(path)).data, { cas: 1 });
});

test("update is a merge patch", async () => {
  const path = fresh("patch");
  await absent(vault.update(`secret/data/${path}`, { data: { n: 1 } }));
  await vault.write(`secret/data/${path}`, { data: { user: "app", host: { a: 1, b: 2 }, list: [1, 2], old: 1 } });
  const patch = { host: { b: 3, c: 4 }, list: [3], old: null, new: "n" };
  version(data(await vault.update(`secret/data/${path}`, { data: patch })), { version: 2 });
  assert.deepEqual(data(await vault.read(`secret/data/${path}`)).data, {
    user: "app",
    host: { a: 1, b: 3, c: 4 },
    list: [3],
    new: "n",
  });
  const stale = { data: {}, options: { cas: 1 } };
  await refused(vault.update(`secret/data/${path}`, stale), 400, /^check-and-set parameter did not match/);
  await refused(vault.update(`secret/data/${path}`, {}), 400, "no data provided");

  await vault.delete(`secret/data/${path}`);
  const body = await refused(vault.update(`secret/data/${path}`, { data: { n: 1 } }), 404, "Status 404");
  assert.equal(body.data.version, 2);
  assert.notEqual(body.data.deletion_time, "");
});

test("delete, undelete, destroy", async () => {
  const path = fresh("deletion");
  for (const n of [1, 2, 3]) await vault.write(`secret/data/${path}`, { data: { n } });
  assert.equal(await vault.delete(`secret/data/${path}`), "");
  const body = await refused(vault.read(`secret/data/${path}`), 404, "Status 404");
  assert.equal(body.data.data, null);
  assert.equal(body.data.metadata.version, 3);
  assert.ok(Math.abs(Date.now() - Date.parse(body.data.metadata.deletion_time)) < minute);
  assert.deepEqual(data(await vault.read(`secret/data/${path}?version=2`)).data, { n: 2 });

  assert.equal(await vault.write(`secret/undelete/${path}`, { versions: [3] }), "");
  assert.deepEqual(data(await vault.read(`secret/data/${path}`)).data, { n: 3 });
  assert.equal(await vault.write(`secret/delete/${path}`, { versions: [1, 2] }), "");
  await refused(vault.read(`secret/data/${path}?version=1`), 404, "Status 404");

  assert.equal(await vault.destroySecretVersions({ path, versions: [1] }), "");
  assert.equal(await vault.destroySecretVersions({ mount_point: "ibmcloud/kv", path, versions: [2] }), "");
  await vault.write(`secret/undelete/${path}`, { versions: [1, 2] });
  for (const n of [1, 2]) {
    const gone = await refused(vault.read(`secret/data/${path}?version=${n}`), 404, "Status 404");
    assert.equal(gone.data.metadata.destroyed, true);
  }
  await refused(vault.write(`secret/delete/${path}`, { versions: [] }), 400, "No version number provided");

  assert.equal(await vault.delete(`secret/metadata/${path}`), "");
  await absent(vault.read(`secret/data/${path}`));
  await absent(vault.read(`secret/metadata/${path}`));
  assert.equal(await vault.delete(`secret/data/${path}`), "");
});

test("metadata", async () => {
  const path = fresh("metadata");
  const custom_metadata = { owner: "billing", team: "storage" };
  const settings = { max_versions: 2, cas_required: true, delete_version_after: "3h25m19s", custom_metadata };
  assert.equal(await vault.write(`secret/metadata/${path}`, settings), "");
  await refused(
    vault.write(`secret/data/${path}`, { data: {} }),
    400,
    "check-and-set parameter required for this call",
  );
  for (const cas of [0, 1, 2]) await vault.write(`secret/data/${path}`, { data: {}, options: { cas } });
  let { versions, created_time, updated_time, ...rest } = data(await vault.read(`secret/metadata/${path}`));
  assert.deepEqual(Object.keys(versions), ["2", "3"]);
  const life = Date.parse(versions[3].deletion_time) - Date.parse(versions[3].created_time);
  assert.ok(Math.abs(life - 12_319_000) < 5, life);
  assert.ok(Date.parse(created_time) <= Date.parse(updated_time));
  for (const [name, value] of Object.entries({ ...settings, current_version: 3, oldest_version: 2 })) {
    assert.deepEqual(rest[name], value, name);
  }

  const patch = { cas_required: false, custom_metadata: { owner: null, rotated: "yes" } };
  assert.equal(await vault.update(`secret/metadata/${path}`, patch), "");
  const read = data(await vault.read(`secret/metadata/${path}`));
  assert.deepEqual(read.custom_metadata, { team: "storage", rotated: "yes" });
  assert.deepEqual([read.max_versions, read.cas_required], [2, false]);
  await refused(
    vault.write(`secret/metadata/${path}`, { delete_version_after: "-1s" }),
    400,
    /^Field validation failed: error converting input for field "delete_version_after"/,
  );
});

test("list", async () => {
  for (const name of ["list/b", "list/a", "list/a/c"]) {
    await vault.write(`secret/data/${fresh(name)}`, { data: {} });
  }
  for (const client of [vault, connect({ noCustomHTTPVerbs: true })]) {
    for (const slash of ["", "/"]) {
      assert.deepEqual(data(await client.list(`secret/metadata/${folder}/list${slash}`)), { keys: ["a", "a/", "b"] });
      assert.ok(data(await client.list(`secret/metadata${slash}`)).keys.includes("node-vault/"));
    }
    await absent(client.list(`secret/metadata/${folder}/list/b`));
    await absent(client.list(`secret/metadata/${folder}/none`));
  }
});

test("subkeys", async () => {
  const path = fresh("subkeys");
  await vault.write(`secret/data/${path}`, { data: { a: { b: { c: 1 } }, list: [1], empty: {} } });
  const subkeys = async (query) => data(await vault.read(`secret/subkeys/${path}${query}`)).subkeys;
  assert.deepEqual(await subkeys(""), { a: { b: { c: null } }, list: null, empty: null });
  assert.deepEqual(await subkeys("?depth=1"), { a: null, list: null, empty: null });
});

test("the other addresses of a domain", async () => {
  const path = fresh("addresses");
  await vault.write(`secret/data/${path}`, { data: { n: 1 } });
  const { KMS_RESTAPI_ENDPOINT: endpoint, OKMS_ID: id } = process.env;
  for (const client of [
    connect({ endpoint }),
    connect({ endpoint: `${process.env.VAULT_ADDR}/` }),
    connect({ endpoint, pathPrefix: `/api/${id}` }),
  ]) {
    assert.deepEqual(data(await client.read(`secret/data/${path}`)).data, { n: 1 });
    assert.deepEqual(data(await client.read(`ibmcloud/kv/data/${path}`)).data, { n: 1 });
  }
});

test("login, lookup, renew, revoke", async () => {
  const client = connect();
  const auth = login(await client.certLogin());
  assert.equal(client.token, auth.client_token);
  assert.deepEqual([auth.lease_duration, auth.renewable], [maxTtl, true]);

  const { client_token: token, accessor } = auth;
  const lookups = [client.tokenLookupSelf(), client.tokenLookup({ token }), client.tokenLookupAccessor({ accessor })];
  for (const lookup of lookups) {
    const found = data(await lookup);
    assert.deepEqual([found.accessor, found.type, found.policies], [accessor, "service", ["default"]]);
    assert.ok(found.ttl > maxTtl - 60 && found.ttl <= maxTtl, found.ttl);
    assert.ok(Math.abs(Date.parse(found.expire_time) - Date.parse(found.issue_time) - maxTtl * 1000) < 1000);
  }
  await absent(client.read(`secret/data/${folder}/none`));

  for (const [renewal, seconds] of [
    [() => client.tokenRenewSelf({ increment: 3600 }), 3600],
    [() => client.tokenRenew({ token, increment: "2h" }), 7200],
    [() => client.tokenRenewSelf(), maxTtl],
  ]) {
    const { lease_duration } = login(await renewal());
    assert.ok(lease_duration > seconds - 60 && lease_duration <= seconds, lease_duration);
    assert.equal(client.token, token);
  }

  assert.equal(await client.tokenRevokeSelf(), "");
  await refused(client.tokenLookupSelf(), 403, "permission denied");
  await refused(client.read(`secret/data/${folder}/none`), 403, "permission denied");
});

test("tokens are revoked by others", async () => {
  const client = connect();
  for (const revoke of [
    ({ client_token: token }) => vault.tokenRevoke({ token }),
    ({ client_token: token }) => vault.tokenRevokeOrphan({ token }),
    ({ accessor }) => vault.tokenRevokeAccessor({ accessor }),
  ]) {
    client.token = undefined;
    const auth = login(await client.certLogin());
    data(await client.tokenLookupSelf());
    assert.equal(await revoke(auth), "");
    await refused(client.tokenLookupSelf(), 403, "permission denied");
    await refused(vault.tokenLookup({ token: auth.client_token }), 403, "bad token");
  }
});

test("tokens are created", async () => {
  const client = connect();
  for (const create of [client.tokenCreate, client.tokenCreateOrphan]) {
    const auth = login(await create({ ttl: "1h", meta: { owner: "billing" }, renewable: false }));
    assert.deepEqual([auth.lease_duration, auth.renewable, client.token], [3600, false, auth.client_token]);
    assert.deepEqual(data(await client.tokenLookupSelf()).meta, { owner: "billing" });
    await refused(client.tokenRenewSelf(), 400, "lease is not renewable");
    assert.equal(await client.tokenRevokeSelf(), "");
    client.token = undefined;
  }
  await refused(client.tokenCreate({ num_uses: 1 }), 400, /./);
});

test("a token is renewed before it ends", { timeout: 10_000 }, async () => {
  const client = connect();
  login(await client.tokenCreate({ ttl: "3s" }));
  // It waits for 0.8 of a second, but at least one, with a timer that keeps nobody awake.
  const awake = setTimeout(() => {}, 9_000);
  await client.startTokenRenewal({ ttl: 1, increment: 3600 });
  const [renewed] = await once(client, "token:renewed");
  client.stopAllRenewals();
  clearTimeout(awake);
  assert.ok(login(renewed).lease_duration > 3);
  await client.tokenRevokeSelf();
});

test("without a certificate", async () => {
  await refused(bare.read(`secret/data/${folder}/none`), 401, /./);
  await refused(bare.certLogin(), 401, /./);
  const { client_token: token } = login(await connect().certLogin());
  // A token is bound to the key of the certificate that it was got with.
  const withToken = connect({ requestOptions: { ca }, token });
  await refused(withToken.read(`secret/data/${folder}/none`), 403, "permission denied");
  await vault.tokenRevoke({ token });
  const wrong = connect({ token: "hvs.CAESI" });
  await refused(wrong.read(`secret/data/${folder}/none`), 403, "permission denied");
});

test("the server's state", async () => {
  for (const client of [vault, bare]) {
    const health = await client.health();
    assert.deepEqual([health.initialized, health.sealed, health.standby], [true, false, false]);
    assert.ok(Math.abs(Date.now() / 1000 - health.server_time_utc) < 60);
    // node-vault takes any status for an answer here.
    assert.equal((await client.health({ activecode: 299 })).sealed, false);
    const status = await client.status();
    assert.deepEqual([status.initialized, status.sealed], [true, false]);
    for (const name of ["t", "n", "progress"]) assert.ok(Number.isInteger(status[name]), name);
    assert.deepEqual(await client.initialized(), { initialized: true });
    assert.equal((await client.leader()).ha_enabled, false);
  }
  const auths = data(await vault.auths());
  assert.deepEqual([auths["cert/"].type, auths["token/"].type], ["cert", "token"]);
  await refused(bare.auths(), 401, /./);
});

test("mounts", async () => {
  const mount_point = `node-vault-${randomUUID()}`;
  const listed = async () => data(await vault.mounts());
  const mount = { mount_point, type: "kv", description: "of the suite", options: { version: "2" } };
  assert.equal(await vault.mount(mount), "");
  for (const [name, description] of [["secret", undefined], [mount_point, "of the suite"]]) {
    const found = (await listed())[`${name}/`];
    assert.deepEqual([found.type, found.options], ["kv", { version: "2" }]);
    if (description) assert.equal(found.description, description);
  }
  await refused(vault.mount(mount), 400, `path is already in use at ${mount_point}/`);
  await refused(vault.mount({ ...mount, mount_point: "secret" }), 400, "path is already in use at secret/");

  await vault.write(`${mount_point}/data/a/b`, { data: { n: 1 } });
  assert.deepEqual(data(await vault.read(`${mount_point}/data/a/b`)).data, { n: 1 });
  assert.deepEqual(data(await vault.read(`secret/data/${mount_point}/a/b`)).data, { n: 1 });
  assert.deepEqual(data(await vault.list(`${mount_point}/metadata`)).keys, ["a/"]);
  assert.equal(await vault.write(`${mount_point}/config`, { max_versions: 3 }), "");
  assert.equal(data(await vault.read(`${mount_point}/config`)).max_versions, 3);

  // What goes with a mount can be had back.
  assert.equal(await vault.unmount({ mount_point }), "");
  assert.equal(await vault.mount(mount), "");
  await vault.write(`${mount_point}/undelete/a/b`, { versions: [1] });
  assert.deepEqual(data(await vault.read(`${mount_point}/data/a/b`)).data, { n: 1 });
  await vault.delete(`${mount_point}/metadata/a/b`);
  assert.equal(await vault.unmount({ mount_point }), "");
  assert.equal((await listed())[`${mount_point}/`], undefined);
  await refused(vault.read(`${mount_point}/data/a/b`), 404, /^no handler for route "/);
});

test("wrapping", async () => {
  const path = fresh("wrapped");
  await vault.write(`secret/data/${path}`, { data: { n: 1 } });
  const headers = { "X-Vault-Wrap-TTL": "5m" };
  const wrapped = await vault.read(`secret/data/${path}`, { headers });
  const { token, ttl, creation_path, creation_time } = wrapped.wrap_info;
  assert.deepEqual([wrapped.data, ttl, creation_path], [null, 300, `secret/data/${path}`]);
  assert.ok(Math.abs(Date.now() - Date.parse(creation_time)) < minute);
  assert.deepEqual(data(await vault.unwrap({ token })).data, { n: 1 });
  const usedUp = "wrapping token is not valid or does not exist";
  await refused(vault.unwrap({ token }), 400, usedUp);

  // Or with the wrapping token as the client's own.
  const again = await vault.write("sys/wrapping/wrap", { n: 2 }, { headers });
  const client = connect({ token: again.wrap_info.token });
  assert.deepEqual(data(await client.unwrap()), { n: 2 });
  await refused(client.unwrap(), 400, usedUp);
});

test("policies", async () => {
  const rules = 'path "secret/*" { capabilities = ["read"] }';
  await vault.addPolicy({ name: "node-vault", rules });
  assert.equal((await vault.getPolicy({ name: "node-vault" })).rules, rules);
  assert.ok((await vault.policies()).policies.includes("node-vault"));
  // Its client takes the token that it creates for its own.
  const narrow = connect();
  const { auth } = await narrow.tokenCreate({ policies: ["node-vault"] });
  assert.deepEqual(auth.policies, ["default", "node-vault"]);
  await refused(narrow.write("secret/data/node-vault-policies", { data: { n: 1 } }), 403, /policy/);
  await vault.removePolicy({ name: "node-vault" });
  assert.ok(!(await vault.policies()).policies.includes("node-vault"));
});

// The sentence names what it is about, or what there is instead.
test("what is not served says so", async () => {
  for (const [call, word] of [
    [() => vault.ldapLogin({ username: "node", password: "password" }), /log in/i],
    [() => vault.generateDatabaseCredentials({ databasePath: "database", name: "node" }), /database/i],
    [() => vault.mount({ mount_point: "node-vault-transit", type: "transit" }), /kv-v2/],
  ]) {
    await refused(call(), 400, word);
  }
  // Audit devices are operators' business.
  const options = { file_path: "audit.log" };
  await refused(vault.enableAudit({ name: "file", type: "file", options }), 403, /operator/);
});
