'use strict';
// The server in the Node.js image. It loads one action and runs it; unlike the launchers of the other
// languages it speaks HTTP itself, so that several runs may overlap. Statuses and sentences are those of
// apache/openwhisk-runtime-nodejs: core/nodejsActionBase/src/service.js. An action that ends its process
// ends the server, without an answer: that is how the platform finds out.

const http = require('http');
const path = require('path');
const logs = require('./logs');
const marks = require('./marks');
const { load } = require('./loader');

const PORT = 8080;
const MAX_BODY = 80 * 1024 * 1024;

const packages = process.env.OXWHISK_NODE_MODULES || path.join(__dirname, 'node_modules');
const listenOnStdin = process.env.OXWHISK_LISTEN_STDIN === '1';
const allowConcurrent = (process.env.__OW_ALLOW_CONCURRENT || '').toLowerCase() === 'true';
// Ours to know, not the action's.
delete process.env.OXWHISK_NODE_MODULES;
delete process.env.OXWHISK_LISTEN_STDIN;

/** ready -> starting -> ready -> running -> ready ...; stopped is for ever. */
let status = 'ready';
let action;

function setStatus(next) {
    if (status !== 'stopped') status = next;
}

/** What a request is answered with, thrown or returned. */
class Answer {
    constructor(code, body) {
        this.code = code;
        this.body = body;
    }
}

const refusal = (code, text) => new Answer(code, { error: text });

/** A refusal that shows in the log too. */
function internalError(text) {
    console.error('Internal system error:', text);
    return refusal(403, text);
}

function setVariable(name, value) {
    if (marks.started()) marks.setVariable(name, value);
    else process.env[name] = value;
}

function setEnvironment(env) {
    for (const [name, value] of Object.entries(env && typeof env === 'object' ? env : {})) {
        if (value === null || value === undefined) process.env[name] = '';
        else process.env[name] = typeof value === 'object' ? JSON.stringify(value) : String(value);
    }
}

async function init(body) {
    if (action !== undefined) return internalError('Cannot initialize the action more than once.');
    if (status !== 'ready') return internalError(`System not ready, status is ${status}.`);
    const value = body.value || {};
    if (!value.code || typeof value.code !== 'string') return refusal(403, 'Missing main/no code to execute.');
    if (!value.main || typeof value.main !== 'string') return refusal(403, 'Missing main/no code to execute.');
    setStatus('starting');
    try {
        setEnvironment(value.env);
        action = await load(value, packages);
        if (marks.started()) marks.endLoading();
        setStatus('ready');
        return new Answer(200, { OK: true });
    } catch (error) {
        console.error('Error during initialization:', error);
        setStatus('stopped');
        const reason = error && error.stack ? String(error.stack) : error;
        return refusal(502, `Initialization has failed due to: ${reason}`);
    }
}

async function run(body) {
    if (action === undefined) return internalError('System not initialized.');
    if (status !== 'ready') {
        const text = `System not ready, status is ${status}.`;
        // A run that came while another failed has done nothing to fail for: it goes elsewhere.
        return marks.started() ? refusal(503, text) : internalError(text);
    }
    const args = body.value === null || body.value === undefined ? {} : body.value;
    if (typeof args !== 'object') {
        return internalError(`Internal system error: the argument must be a dictionary but has type '${typeof args}'.`);
    }
    for (const [key, value] of Object.entries(body)) {
        if (typeof value === 'string' && key !== 'value') setVariable(`__OW_${key.toUpperCase()}`, value);
    }
    if (!allowConcurrent) setStatus('running');
    let promise;
    try {
        promise = action(args);
    } catch (error) {
        // Thrown while the function ran: the action's state is unknown, so the container is of no more use.
        console.error(error);
        setStatus('stopped');
        return refusal(502, `An error has occurred: ${error}`);
    }
    let result;
    try {
        result = await promise;
    } catch (error) {
        result = { error: error ? serializeError(error, []) : {} };
    }
    if (!allowConcurrent) setStatus('ready');
    if (result === undefined) return new Answer(200, {});
    if (typeof result !== 'object') {
        console.error(`Result must be of type object but has type "${typeof result}":`, result);
        return refusal(502, 'The action did not return a dictionary.');
    }
    return new Answer(200, result);
}

/** An error as JSON: what it carries, and the members that do not show when it is listed. */
function serializeError(value, above) {
    if (typeof value === 'function') return `[Function: ${value.name || 'anonymous'}]`;
    if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
    if (typeof value !== 'object' || value === null) return value;
    if (Buffer.isBuffer(value)) return '[object Buffer]';
    if (typeof value.pipe === 'function') return '[object Stream]';
    if (above.includes(value)) return '[Circular]';
    if (typeof value.toJSON === 'function') return value.toJSON();
    const seen = [...above, value];
    if (Array.isArray(value)) return value.map(item => serializeError(item, seen));
    const result = {};
    for (const [key, member] of Object.entries(value)) {
        if (typeof member !== 'function') result[key] = serializeError(member, seen);
    }
    for (const key of ['name', 'message', 'stack', 'code']) {
        if (typeof value[key] === 'string') result[key] = value[key];
    }
    if (value.cause instanceof Error) result.cause = serializeError(value.cause, seen);
    return result;
}

/** Sends an answer in one write, after all that was printed before it. */
function send(response, answer) {
    let { code, body } = answer;
    let text;
    try {
        text = JSON.stringify(body);
    } catch (error) {
        console.error(error);
        [code, text] = [502, JSON.stringify({ error: `An error has occurred: ${error}` })];
    }
    // A `toJSON` may return nothing, and then there is no text.
    if (text === undefined) text = 'null';
    logs.whenFlushed(() => {
        response.sendDate = false;
        response.writeHead(code, {
            'Content-Type': 'application/json; charset=utf-8',
            'Content-Length': Buffer.byteLength(text),
            'X-Oxwhisk-Log-Bytes': marks.started() ? marks.takeCounts() : logs.takeCounts(),
        });
        response.end(text);
    });
}

/** The object in a request's body; nothing if there is none. */
function parse(chunks) {
    const text = chunks.length === 1 ? chunks[0].toString() : Buffer.concat(chunks).toString();
    try {
        const body = text === '' ? {} : JSON.parse(text);
        return typeof body === 'object' && body !== null ? body : undefined;
    } catch {
        return undefined;
    }
}

async function answerTo(request, body) {
    const route = request.method === 'POST' && { '/init': init, '/run': run }[request.url];
    if (!route || body === undefined) return refusal(500, 'Bad request.');
    try {
        return await route(body);
    } catch (error) {
        console.error(error);
        return refusal(500, 'Internal error.');
    }
}

/** The activation that a request is about. */
function activationOf(request, body) {
    if (request.url === '/run') return body.activation_id;
    return body.value && body.value.env && body.value.env.__OW_ACTIVATION_ID;
}

/** Answers a request, where runs may overlap as a part of its activation. Whether they may, /init tells. */
async function handle(request, response, body) {
    const answer = async () => send(response, await answerTo(request, body));
    if (body === undefined) return answer();
    const isFirst = request.url === '/init' && action === undefined && status === 'ready';
    if (isFirst && !marks.started() && marks.isToken(body.log_token)) marks.start(body.log_token);
    return marks.started() ? marks.within(activationOf(request, body), answer) : answer();
}

const server = http.createServer({ noDelay: true }, (request, response) => {
    const chunks = [];
    let size = 0;
    request.on('data', chunk => {
        size += chunk.length;
        if (size <= MAX_BODY) chunks.push(chunk);
    });
    request.on('end', () => {
        if (size > MAX_BODY) return send(response, refusal(413, 'The request is too large.'));
        return handle(request, response, parse(chunks));
    });
});

// The platform decides how long a connection lives.
server.keepAliveTimeout = 0;
server.headersTimeout = 0;
server.requestTimeout = 0;
server.timeout = 0;

logs.countEverything();
// The first process of a container has no default for this signal.
process.once('SIGTERM', () => process.exit(0));
server.listen(listenOnStdin ? { fd: 0 } : { port: PORT, host: '0.0.0.0' });
