// What the tests stand on: the server's address and files, a client of the API that is no browser, and browsers.

import { execFile } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { promisify } from "node:util";

import { chromium } from "playwright-core";

export const run = promisify(execFile);

export const origin = process.env.KMS_RESTAPI_ENDPOINT;
export const okmsId = process.env.OKMS_ID;
export const regionCa = process.env.KMS_RESTAPI_CA;
export const bundle = path.join(path.dirname(regionCa), "client.p12");
export const password = "okmsd";
export const work = process.env.OKMSD_BROWSER_WORK;
// The secrets of the caller's domain.
export const secrets = `/api/${okmsId}/v2/secret`;

// A path that no run before has used, with a slash.
export const fresh = (name) => `browser-${process.pid}-${Date.now()}/${name}`;

const agent = new https.Agent({
  keepAlive: false,
  ca: fs.readFileSync(regionCa),
  cert: fs.readFileSync(process.env.KMS_RESTAPI_CERT),
  key: fs.readFileSync(process.env.KMS_RESTAPI_KEY),
});

// A request of the domain's own service: what the browser did is looked at from outside of it.
export function api(method, target, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = https.request(origin + target, { agent, method, headers, timeout: 10_000 }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: answer.statusCode, headers: answer.headers, body: text && JSON.parse(text) });
      });
    });
    request.on("timeout", () => request.destroy(new Error(`${method} ${target}: no answer`)));
    request.on("error", reject);
    request.end(body && JSON.stringify(body));
  });
}

// Opens Chromium with a home of its own, so that it knows no certificates but those that the test put there.
export async function browser(home) {
  const { PATH, LANG, TMPDIR } = process.env;
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    env: { PATH, ...(LANG && { LANG }), ...(TMPDIR && { TMPDIR }), HOME: home },
    timeout: 20_000,
  });
}

// A folder below the run's own.
export function folder(name) {
  const made = path.join(work, name);
  fs.mkdirSync(made, { recursive: true });
  return made;
}

// A home whose certificate store trusts the region's authority; the caller may import more.
export async function nssHome(name) {
  const home = folder(name);
  const db = `sql:${folder(path.join(name, ".pki", "nssdb"))}`;
  await run("certutil", ["-N", "--empty-password", "-d", db]);
  await run("certutil", ["-A", "-n", "okmsd region", "-t", "C,,", "-i", regionCa, "-d", db]);
  return { home, db };
}

// Whether a program is there.
export async function has(program) {
  return run("sh", ["-c", 'command -v "$1"', "sh", program]).then(
    () => true,
    () => false,
  );
}

// Serves `page` on a port of its own: another origin, on the same machine.
export async function elsewhere(page) {
  const server = http.createServer((_, answer) => {
    answer.setHeader("content-type", "text/html; charset=utf-8");
    answer.end(page);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
