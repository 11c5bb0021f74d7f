'use strict';
// For actions whose runs may overlap: all that is printed is marked with the activation that printed it, so
// that each record gets its own lines. Whose a write is, is known by its asynchronous context. A piece of
// output leaves in one write that is short enough to be atomic in a pipe, behind a head that gives its
// activation and length; what other code prints in between (native code, a descriptor of its own) carries no
// head. The token in the head is the platform's, one a container, so that no text can look like a head.

const fs = require('fs');
const { AsyncLocalStorage } = require('async_hooks');
const { syncBuiltinESMExports } = require('module');

const { writeSync } = fs;
const STDOUT = 1;
const STDERR = 2;
const NAMES = { '/dev/stdout': STDOUT, '/dev/stderr': STDERR };

/** `\x1e`, token, activation, length in four hexadecimal digits, newline. */
const HEAD = 1 + 32 + 32 + 4 + 1;
/** Up to this size a write to a pipe is not split and not mixed with others: PIPE_BUF. */
const ATOMIC = 4096;
const ROOM = ATOMIC - HEAD;
const ID = /^[0-9a-f]{32}$/;
/** In place of an activation: nobody's, such as a timer from when the module was loaded. */
const NOBODY = '0'.repeat(32);

const storage = new AsyncLocalStorage();
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const isOurs = fd => fd === STDOUT || fd === STDERR;
let token;

/** One /init or /run: what it has printed, and what it has in place of variables of the process. */
class Run {
    constructor(id) {
        this.id = ID.test(id) ? id : NOBODY;
        this.counts = { [STDOUT]: 0, [STDERR]: 0 };
        this.env = Object.create(null);
    }
}

const nobody = new Run(NOBODY);
const current = () => storage.getStore() || nobody;

/** A full pipe is waited for, as everywhere where output is synchronous; without a reader the rest is lost. */
function writeWhole(fd, bytes) {
    for (let at = 0; at < bytes.length;) {
        try {
            at += writeSync(fd, bytes, at);
        } catch (error) {
            if (error.code !== 'EAGAIN') return;
            Atomics.wait(sleeper, 0, 0, 1);
        }
    }
}

/** Prints, marked; tells how many bytes that were. */
function print(fd, bytes) {
    const run = current();
    if (run.id !== NOBODY) run.counts[fd] += bytes.length;
    for (let at = 0; at < bytes.length; at += ROOM) {
        const piece = bytes.subarray(at, at + ROOM);
        const frame = Buffer.allocUnsafe(HEAD + piece.length);
        frame.latin1Write(`\x1e${token}${run.id}${piece.length.toString(16).padStart(4, '0')}\n`, 0);
        frame.set(piece, HEAD);
        writeWhole(fd, frame);
    }
    return bytes.length;
}

const isText = data => typeof data === 'string';
const isPrintable = data => isText(data) || ArrayBuffer.isView(data);

function bytesOf(data, encoding) {
    if (isText(data)) return Buffer.from(data, Buffer.isEncoding(encoding) ? encoding : 'utf8');
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** What `fs.write` is to write, given what comes after the descriptor. */
function partOf([data, offset, length]) {
    if (isText(data)) return bytesOf(data, length);
    if (offset && typeof offset === 'object') ({ offset, length } = offset);
    const bytes = bytesOf(data);
    const from = typeof offset === 'number' ? offset : 0;
    return bytes.subarray(from, typeof length === 'number' ? from + length : undefined);
}

function markStream(stream, fd) {
    const write = stream.write;
    stream.write = function (data, encoding, callback) {
        // Node's own complains about what cannot be printed.
        if (!isPrintable(data)) return write.call(this, data, encoding, callback);
        print(fd, bytesOf(data, encoding));
        const done = typeof encoding === 'function' ? encoding : callback;
        if (typeof done === 'function') process.nextTick(done, null);
        return true;
    };
}

function markFileWrites() {
    const replace = (name, replacement) => {
        const original = fs[name].bind(fs);
        // Promisified forms are found under a symbol, hence `assign`.
        fs[name] = Object.assign((...args) => replacement(original, ...args), fs[name]);
    };
    replace('writeSync', (write, fd, ...rest) =>
        isOurs(fd) && isPrintable(rest[0]) ? print(fd, partOf(rest)) : write(fd, ...rest));
    replace('writevSync', (write, fd, buffers, ...rest) =>
        isOurs(fd) ? print(fd, Buffer.concat(buffers.map(buffer => bytesOf(buffer)))) : write(fd, buffers, ...rest));
    replace('write', (write, fd, ...rest) => {
        const done = rest[rest.length - 1];
        if (!isOurs(fd) || !isPrintable(rest[0]) || typeof done !== 'function') return write(fd, ...rest);
        process.nextTick(done, null, print(fd, partOf(rest.slice(0, -1))), rest[0]);
    });
    replace('writev', (write, fd, buffers, ...rest) => {
        const done = rest[rest.length - 1];
        if (!isOurs(fd) || typeof done !== 'function') return write(fd, buffers, ...rest);
        process.nextTick(done, null, print(fd, Buffer.concat(buffers.map(buffer => bytesOf(buffer)))), buffers);
    });
    const whole = (write, file, data, ...rest) => {
        const fd = isOurs(file) ? file : NAMES[file];
        if (!fd || !isPrintable(data)) return write(file, data, ...rest);
        print(fd, bytesOf(data, rest[0] && rest[0].encoding || rest[0]));
        const done = rest[rest.length - 1];
        if (typeof done === 'function') process.nextTick(done, null);
    };
    for (const name of ['writeFileSync', 'appendFileSync', 'writeFile', 'appendFile']) replace(name, whole);
}

/** There is one environment a process; what is a run's own in it is seen only from inside that run. */
function divideEnvironment() {
    const all = process.env;
    const holder = name => name in current().env ? current().env : all;
    process.env = new Proxy(all, {
        get: (_, name) => holder(name)[name],
        set: (_, name, value) => {
            const own = current().env;
            if (name in own) own[name] = String(value);
            else all[name] = value;
            return true;
        },
        has: (_, name) => name in current().env || name in all,
        deleteProperty: (_, name) => delete holder(name)[name],
        ownKeys: () => [...new Set([...Reflect.ownKeys(all), ...Object.keys(current().env)])],
        getOwnPropertyDescriptor: (_, name) => Object.getOwnPropertyDescriptor(holder(name), name),
    });
}

/** From now on all output is marked. Has to be called before anything of the action is loaded. */
function start(itsToken) {
    token = itsToken;
    markStream(process.stdout, STDOUT);
    markStream(process.stderr, STDERR);
    markFileWrites();
    divideEnvironment();
    syncBuiltinESMExports();
}

const isToken = text => ID.test(text);
const started = () => token !== undefined;

/** Does `work` as a part of that activation. */
const within = (id, work) => storage.run(new Run(id), work);

/** Gives the run at work variables of its own. */
const setVariable = (name, value) => { current().env[name] = value; };

/** What the module set going while it was loaded goes on as nobody's. */
const endLoading = () => { current().id = NOBODY; };

/** Bytes that the run at work has printed, as the response header has them. */
const takeCounts = () => `${current().counts[STDOUT]} ${current().counts[STDERR]}`;

module.exports = { isToken, start, started, within, setVariable, endLoading, takeCounts };
