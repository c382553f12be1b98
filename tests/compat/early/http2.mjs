// Node's http2: one session for those with a certificate, one for those without, made anew when the server ends it.
import http2 from 'node:http2';
import { endpoint, run, tls, write } from './requests.mjs';

const sessions = new Map();
function session(certificate) {
    let known = sessions.get(certificate);
    if (!known || known.closed || known.destroyed) {
        known = http2.connect(endpoint, tls(certificate));
        // The streams tell; without a listener the program would end.
        known.on('error', () => {}).on('connect', (_, socket) => socket.on('error', () => {}));
        sessions.set(certificate, known);
    }
    return known;
}

await run((request) => new Promise((resolve, reject) => {
    const { method, path, body, certificate, chunked } = request;
    const length = chunked ? {} : { 'content-length': body.length };
    const stream = session(certificate).request({ ':method': method, ':path': path, ...length });
    let status;
    let text = '';
    stream.on('response', (headers) => { status = headers[':status']; });
    stream.setEncoding('utf8').on('data', (piece) => { text += piece; });
    stream.on('error', reject).on('close', () => {
        if (status === undefined) reject(new Error('the stream was closed without an answer'));
        else resolve([status, text]);
    });
    write(stream, request);
}));
