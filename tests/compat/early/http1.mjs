// Node's https, with its usual agent.
import https from 'node:https';
import { endpoint, run, tls, write } from './requests.mjs';

const agents = new Map([true, false].map((has) => [has, new https.Agent({ keepAlive: true, ...tls(has) })]));

await run((request) => new Promise((resolve, reject) => {
    const { method, path, body, certificate, chunked } = request;
    const headers = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': body.length };
    const sent = https.request(endpoint + path, { method, headers, agent: agents.get(certificate) }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (piece) => { text += piece; });
        answer.on('error', reject).on('end', () => resolve([answer.statusCode, text]));
    });
    sent.on('error', reject);
    write(sent, request);
}));
