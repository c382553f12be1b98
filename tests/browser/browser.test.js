// Chromium against a running okmsd. Started by run.sh.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";

import * as s from "./support.js";

const limit = { timeout: 90_000 };

// Leaves a test out, with a word; under COMPAT_STRICT=1 it fails instead.
function skip(t, why) {
  assert.notEqual(process.env.COMPAT_STRICT, "1", why);
  console.log(`browser: skipped: ${t.name}: ${why}`);
  t.skip(why);
}

// Opens a browser that closes with the test.
async function open(t, home) {
  const browser = await s.browser(home);
  t.after(() => browser.close());
  return browser;
}

// A page that notes what a reader of Swagger UI must not see.
async function watched(context) {
  const faults = [];
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== s.origin && !["data:", "blob:"].includes(url.protocol)) faults.push(`left the origin: ${url}`);
  });
  context.on("requestfailed", (request) => faults.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  context.on("weberror", (error) => faults.push(`exception: ${error.error()}`));
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`);
  });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  return { page, faults };
}

async function openSwagger(page, query = "") {
  const answer = await page.goto(`${s.origin}/swagger/${query}`);
  assert.equal(answer.status(), 200);
  await page.locator(".opblock-tag").first().waitFor();
}

// Opens or closes the operations of a tag.
async function toggle(page, tag) {
  await page.locator(`.opblock-tag[data-tag="${tag}"]`).click();
}

// Unfolds an operation of a tag that is open; its parameters can be filled in at once.
async function unfold(page, operation) {
  const block = page.locator(`.opblock[id$="-${operation}"]`);
  await block.locator(".opblock-summary-control").click();
  await block.locator(".execute").waitFor();
  return block;
}

// Presses Execute; gives the status and the body that the page shows.
async function execute(block) {
  await block.locator(".execute").click();
  const answer = block.locator(".live-responses-table .response").first();
  await answer.waitFor();
  const status = await answer.locator(".response-col_status").innerText();
  const body = await answer.locator(".response-col_description .highlight-code code").first().innerText();
  return { status: Number.parseInt(status, 10), body };
}

const parameter = (block, name) => block.locator(`tr[data-param-name="${name}"]`).locator("input, select").first();

// Creates and reads a secret in Swagger UI as a person would: what is filled in already stays.
async function tryItOut(page, name) {
  const secret = s.fresh(name);
  await openSwagger(page);
  await toggle(page, "Secrets");

  const create = await unfold(page, "PostSecretV2");
  assert.equal(await parameter(create, "okmsId").inputValue(), s.okmsId, "the caller's own domain is filled in");
  const body = create.locator("textarea.body-param__text");
  const example = JSON.parse(await body.inputValue());
  assert.ok(example.path && example.version.data, "the example is a whole secret");
  await body.fill(JSON.stringify({ ...example, path: secret, version: { data: { password: "correct horse" } } }));
  const created = await execute(create);
  assert.equal(created.status, 200, created.body);
  assert.equal(JSON.parse(created.body).path, secret);

  const read = await unfold(page, "GetSecretV2");
  assert.equal(await parameter(read, "okmsId").inputValue(), s.okmsId);
  await parameter(read, "path").fill(secret);
  await parameter(read, "includeData").selectOption("true");
  const shown = await execute(read);
  assert.equal(shown.status, 200, shown.body);
  assert.equal(JSON.parse(shown.body).path, secret);
  assert.deepEqual(JSON.parse(shown.body).version.data, { password: "correct horse" });
  if (process.env.SHOTS) {
    await page.setViewportSize({ width: 1280, height: 1600 });
    await read.evaluate((block) => block.scrollIntoView());
    await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
  }

  // Not from the page's memory: the secret is there.
  const outside = await s.api("GET", `${s.secrets}/${secret}?includeData=true`);
  assert.deepEqual(outside.body.version.data, { password: "correct horse" });
}

// All secrets of the domain with their versions, seen from outside of the browser.
async function inventory() {
  const all = [];
  for (let cursor = ""; cursor !== undefined; ) {
    const page = await s.api("GET", s.secrets, undefined, cursor && { "x-pagination-cursor": cursor });
    assert.equal(page.status, 200);
    all.push(...page.body);
    cursor = page.headers["x-pagination-cursor-next"];
  }
  return all;
}

// Lets a page of another origin try to change the domain of the person who looks at it.
async function tryFromElsewhere(t, context, name) {
  const victim = s.fresh(`${name}/victim`);
  const data = { version: { data: { planted: true } } };
  assert.equal((await s.api("POST", s.secrets, { path: victim, version: { data: { mine: true } } })).status, 200);
  const before = await inventory();

  const elsewhere = await s.elsewhere("<!DOCTYPE html><title>elsewhere</title><iframe name=target></iframe>");
  t.after(elsewhere.close);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const answers = [];
  page.on("response", (answer) => {
    const { pathname } = new URL(answer.url());
    if (pathname.startsWith("/api/")) answers.push({ method: answer.request().method(), status: answer.status() });
  });
  await page.goto(elsewhere.origin);

  // The person's certificate does go along: without this, all that follows would prove nothing.
  const url = s.origin + s.secrets;
  const [reached] = await Promise.all([
    page.waitForResponse(url),
    page.evaluate((url) => fetch(url, { mode: "no-cors", credentials: "include" }).then(() => {}), url),
  ]);
  assert.equal(reached.status(), 200, "the certificate goes along with a page's requests to other origins");
  const readable = (url) => fetch(url, { credentials: "include" }).then(() => true, () => false);
  assert.equal(await page.evaluate(readable, url), false, "the page cannot read the answer");

  const sent = (index) => JSON.stringify({ path: s.fresh(`${name}/planted-${index}`), ...data });
  const outcomes = await page.evaluate(
    async ({ url, victim, bodies }) => {
      const attempt = (target, options) =>
        fetch(target, { credentials: "include", ...options }).then((answer) => answer.type, () => "refused");
      const json = { "content-type": "application/json" };
      return {
        simple: await attempt(url, { method: "POST", mode: "no-cors", body: bodies[0] }),
        typeless: await attempt(url, { method: "POST", mode: "no-cors", body: new Blob([bodies[1]]) }),
        readable: await attempt(url, { method: "POST", body: bodies[2] }),
        preflighted: await attempt(url, { method: "POST", body: bodies[3], headers: json }),
        version: await attempt(`${url}/${victim}/version`, { method: "POST", mode: "no-cors", body: '{"data":{}}' }),
        put: await attempt(`${url}/${victim}`, { method: "PUT", body: '{"version":{"data":{}}}', headers: json }),
        delete: await attempt(`${url}/${victim}`, { method: "DELETE" }),
      };
    },
    { url, victim, bodies: [0, 1, 2, 3].map(sent) },
  );
  assert.deepEqual(outcomes, {
    simple: "opaque",
    typeless: "opaque",
    readable: "refused",
    preflighted: "refused",
    version: "opaque",
    put: "refused",
    delete: "refused",
  });

  // A form, whose text is JSON but for a "=" in the middle of a string: nothing of CORS guards forms.
  const posted = () => page.waitForResponse((answer) => answer.request().method() === "POST" && answer.url() === url);
  const form = ({ url, text, target }) => {
    const form = document.createElement("form");
    Object.assign(form, { action: url, method: "POST", enctype: "text/plain", target });
    const input = document.createElement("input");
    [input.name, input.value] = text.split("=");
    form.append(input);
    document.body.append(form);
    form.submit();
  };
  const disguised = (index) =>
    JSON.stringify({ path: s.fresh(`${name}/form-${index}`), version: { data: { planted: "=" } } });
  for (const [index, target] of ["target", "_self"].entries()) {
    const [answer] = await Promise.all([posted(), page.evaluate(form, { url, text: disguised(index), target })]);
    assert.equal(answer.status(), 403, `a form to ${target}`);
    await answer.finished();
  }

  // A page without an origin ("null"): a sandboxed frame.
  await page.waitForURL(url);
  await page.goto(elsewhere.origin);
  const options = { method: "POST", mode: "no-cors", credentials: "include", body: sent("sandboxed") };
  const script = `fetch(${JSON.stringify(url)}, ${JSON.stringify(options)}).then(() => console.log(origin + " sent"))`;
  await Promise.all([
    page.waitForEvent("console", (message) => message.text() === "null sent"),
    page.evaluate((script) => {
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts";
      frame.srcdoc = `<script>${script}</script>`;
      document.body.append(frame);
    }, script),
  ]);

  const writes = answers.filter(({ method }) => method !== "GET");
  assert.ok(writes.length > 0 && writes.every(({ status }) => status >= 400), JSON.stringify(writes));
  assert.deepEqual(await inventory(), before, "nothing was created, changed or deleted");
  const kept = await s.api("GET", `${s.secrets}/${victim}?includeData=true`);
  assert.deepEqual(kept.body.version.data, { mine: true });
}

test("Swagger UI without a certificate shows every operation", limit, async (t) => {
  const browser = await open(t, s.folder("nobody"));
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const { page, faults } = await watched(context);
  // Another document cannot be slipped in through the address.
  await openSwagger(page, "?url=https://127.0.0.1:1/a.json&configUrl=https://127.0.0.1:1/b.json");

  const document = await page.evaluate(() => fetch("/openapi.json").then((answer) => answer.json()));
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));
  assert.ok(operations.length > 20);
  const blocks = page.locator(".opblock");
  assert.equal(await blocks.count(), 0, "the page begins with an overview");
  // Only what is in sight is drawn.
  await page.setViewportSize({ width: 1280, height: 4000 });
  for (const tag of new Set(operations.map(({ tags }) => tags[0]))) {
    const ofTag = operations.filter(({ tags }) => tags[0] === tag);
    await toggle(page, tag);
    await blocks.nth(ofTag.length - 1).waitFor();
    const ids = await blocks.evaluateAll((all) => all.map(({ id }) => id.split("-").at(-1)));
    assert.deepEqual(ids.toSorted(), ofTag.map(({ operationId }) => operationId).toSorted(), tag);
    // Unfolded: examples, schemas and tables are drawn only then.
    const block = await unfold(page, tag === "Secrets" ? "PostSecretV2" : ofTag[0].operationId);
    if (tag === "Secrets") {
      assert.equal(await parameter(block, "okmsId").inputValue(), "", "nobody's domain is filled in");
    }
    await toggle(page, tag);
    await blocks.first().waitFor({ state: "detached" });
  }
  assert.equal(await page.locator(".errors-wrapper").count(), 0, "Swagger UI finds no fault in the document");
  assert.deepEqual(faults, []);
});

test("Try it out with client.p12", limit, async (t) => {
  const browser = await open(t, s.folder("somebody"));
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    clientCertificates: [{ origin: s.origin, pfxPath: s.bundle, passphrase: s.password }],
  });
  const { page, faults } = await watched(context);
  await tryItOut(page, "bundle");
  assert.deepEqual(faults, []);
});

test("a page of another origin changes nothing", limit, async (t) => {
  const browser = await open(t, s.folder("visitor"));
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    clientCertificates: [{ origin: s.origin, pfxPath: s.bundle, passphrase: s.password }],
  });
  await tryFromElsewhere(t, context, "elsewhere");
});

test("client.p12 imported into Chromium's own store", limit, async (t) => {
  if (!(await s.has("pk12util")) || !(await s.has("certutil"))) {
    return skip(t, "pk12util and certutil are not installed (libnss3-tools)");
  }
  const url = s.origin + s.secrets;

  await t.test("without the region's authority the browser warns", async (t) => {
    const page = await (await open(t, s.folder("stranger"))).newPage();
    await assert.rejects(page.goto(url, { timeout: 15_000 }), /ERR_CERT_AUTHORITY_INVALID/);
  });

  await t.test("with the authority alone: no warning, no prompt, 401", async (t) => {
    const { home } = await s.nssHome("reader");
    const page = await (await open(t, home)).newPage();
    const answer = await page.goto(url, { timeout: 15_000 });
    assert.equal(answer.status(), 401);
    assert.equal((await answer.json()).error_code, 50475011);
  });

  const { home, db } = await s.nssHome("owner");
  await s.run("pk12util", ["-i", s.bundle, "-W", s.password, "-d", db]);
  const { stdout } = await s.run("certutil", ["-L", "-d", db]);
  assert.match(stdout, / u,u,u$/m, "a certificate that has its key");
  if (!process.env.OKMSD_BROWSER_POLICY) {
    return skip(t, "Chromium would ask which certificate to use; the policy against it needs root");
  }

  await t.test("the API, Swagger UI and pages of other origins", async (t) => {
    const browser = await open(t, home);
    const strict = { ignoreHTTPSErrors: false };
    const plain = await (await browser.newContext(strict)).newPage();
    const answer = await plain.goto(url, { timeout: 15_000 });
    assert.equal(answer.status(), 200);
    assert.match(answer.headers()["content-type"], /^application\/json/);
    assert.ok(Array.isArray(await answer.json()));
    assert.match(await plain.locator("body").innerText(), /^\s*\[/, "the list is what the page shows");

    const { page, faults } = await watched(await browser.newContext(strict));
    await tryItOut(page, "store");
    assert.deepEqual(faults, []);
    await tryFromElsewhere(t, await browser.newContext(strict), "store-elsewhere");
  });
});

test("OpenSSL 3 opens client.p12 without its legacy provider", limit, async (t) => {
  if (!(await s.has("openssl"))) return skip(t, "openssl is not installed");
  const { stdout } = await s.run("openssl", ["version"]);
  if (!/^OpenSSL [3-9]/.test(stdout)) return skip(t, `${stdout.trim()} is not OpenSSL 3`);
  const read = (secret) => s.run("openssl", ["pkcs12", "-info", "-noout", "-in", s.bundle, "-passin", `pass:${secret}`]);
  const { stderr } = await read(s.password);
  assert.match(stderr, /PBES2.*AES-256-CBC/);
  await assert.rejects(read("another"), /invalid password/);
});

test("NSS, which is Firefox's, lists client.p12", limit, async (t) => {
  if (!(await s.has("pk12util")) || !(await s.has("certutil"))) {
    return skip(t, "pk12util and certutil are not installed (libnss3-tools)");
  }
  const db = `sql:${s.folder("list")}`;
  await s.run("certutil", ["-N", "--empty-password", "-d", db]);
  const { stdout } = await s.run("pk12util", ["-l", s.bundle, "-W", s.password, "-d", db]);
  assert.match(stdout, /Key\(shrouded\):/);
  assert.equal(stdout.match(/^Certificate/gm)?.length, 2, "the certificate and its authority");
  assert.ok(stdout.includes(s.okmsId), "the certificate names the domain");
});
