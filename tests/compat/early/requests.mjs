// The requests of the standard input; support.py says how they are written.
import { readFileSync } from 'node:fs';

const { KMS_RESTAPI_CA, KMS_RESTAPI_CERT, KMS_RESTAPI_KEY, PATIENCE, ENOUGH } = process.env;
export const endpoint = process.env.KMS_RESTAPI_ENDPOINT;

export const tls = (certificate) => ({
    ca: readFileSync(KMS_RESTAPI_CA),
    ...(certificate ? { cert: readFileSync(KMS_RESTAPI_CERT), key: readFileSync(KMS_RESTAPI_KEY) } : {}),
});

/** Writes the body, as a whole or in pieces, as fast as the stream takes it. */
export async function write(stream, { body, chunked }) {
    if (!chunked) return stream.end(body);
    for (let at = 0; at < body.length; at += 16384) {
        if (!stream.write(body.subarray(at, at + 16384))) {
            await new Promise((resolve) => {
                for (const event of ['drain', 'close', 'error']) stream.once(event, resolve);
            });
        }
        if (stream.destroyed) return;
    }
    stream.end();
}

/** Gives each request to `send`, which answers with a status and a body. */
export async function run(send) {
    let failures = 0;
    for (const line of readFileSync(0, 'utf8').trimEnd().split('\n')) {
        if (failures >= Number(ENOUGH)) {
            console.log('-\tnot tried any more');
            continue;
        }
        const [status, method, path, certificate, size, chunked] = line.split('\t');
        const body = Buffer.from(size === '2' ? '{}' : 'x'.repeat(Number(size)));
        const request = { method, path, body, certificate: certificate === '1', chunked: chunked === '1' };
        let timer;
        try {
            const late = new Promise((_, reject) => {
                timer = setTimeout(() => reject(new Error('no answer in time')), PATIENCE * 1000);
            });
            const [seen, text] = await Promise.race([send(request), late]);
            if (String(seen) !== status) failures += 1;
            console.log(`${seen}\t${text.replace(/\s+/g, ' ')}`);
        } catch (error) {
            failures += 1;
            console.log(`-\t${error.code ?? ''} ${error.message}`.replace(/\n/g, ' '));
        } finally {
            clearTimeout(timer);
        }
    }
    // Connections that are kept would keep the program.
    process.exit(0);
}
