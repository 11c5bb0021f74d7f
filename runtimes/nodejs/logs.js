'use strict';
// Counts what the action prints, so that no sentinel lines are needed: each response says how many bytes
// went out on each stream since the one before. Node offers no place where all writes to descriptors 1
// and 2 pass, so every way that JavaScript has to them is counted where it is called; a child process
// that would inherit them gets pipes, whose content is passed on through the same counters.

const fs = require('fs');
const childProcess = require('child_process');
const { syncBuiltinESMExports } = require('module');

const STDOUT = 1;
const STDERR = 2;
const counts = { [STDOUT]: 0, [STDERR]: 0 };

const streamOf = fd => (fd === STDOUT ? process.stdout : process.stderr);
const isOurs = fd => fd === STDOUT || fd === STDERR;

function sizeOf(data, encoding) {
    if (typeof data === 'string') return Buffer.byteLength(data, typeof encoding === 'string' ? encoding : 'utf8');
    return data && data.byteLength || 0;
}

/** Bytes on stdout and stderr since this was last asked, as the response header has them. */
function takeCounts() {
    const text = `${counts[STDOUT]} ${counts[STDERR]}`;
    counts[STDOUT] = counts[STDERR] = 0;
    return text;
}

/** Calls back once all that was printed has left the process; at once when nothing is queued. */
function whenFlushed(callback) {
    const queued = [process.stdout, process.stderr].filter(stream => stream.writableLength > 0);
    if (queued.length === 0) return callback();
    let left = queued.length;
    for (const stream of queued) stream.write('', () => --left === 0 && callback());
}

function countStream(fd) {
    const stream = streamOf(fd);
    const write = stream.write;
    stream.write = function (data, encoding, callback) {
        counts[fd] += sizeOf(data, encoding);
        return write.call(this, data, encoding, callback);
    };
    // A reader that went away must not take the action with it.
    stream.on('error', () => {});
}

function countFileWrites() {
    const { write, writeSync, writev, writevSync } = fs;
    fs.writeSync = function (fd, ...rest) {
        const written = writeSync.call(fs, fd, ...rest);
        if (isOurs(fd)) counts[fd] += written;
        return written;
    };
    fs.writevSync = function (fd, ...rest) {
        const written = writevSync.call(fs, fd, ...rest);
        if (isOurs(fd)) counts[fd] += written;
        return written;
    };
    // Their promisified forms are found under a symbol, hence `assign`.
    const counting = original => Object.assign(function (fd, ...rest) {
        const callback = rest[rest.length - 1];
        if (isOurs(fd) && typeof callback === 'function') {
            rest[rest.length - 1] = (error, written, data) => {
                counts[fd] += written || 0;
                callback(error, written, data);
            };
        }
        return original.call(fs, fd, ...rest);
    }, original);
    fs.write = counting(write);
    fs.writev = counting(writev);
    const named = { '/dev/stdout': STDOUT, '/dev/stderr': STDERR };
    for (const name of ['writeFileSync', 'appendFileSync', 'writeFile', 'appendFile']) {
        const original = fs[name];
        fs[name] = function (file, data, ...rest) {
            const fd = isOurs(file) ? file : named[file];
            if (fd) counts[fd] += sizeOf(data, rest[0] && rest[0].encoding || rest[0]);
            return original.call(fs, file, data, ...rest);
        };
    }
    // Node's own warnings.
    process._rawDebug = (...args) => process.stderr.write(require('util').format(...args) + '\n');
}

/** Replaces what a child would inherit of our output by pipes: the new `stdio`, and which pipe is whose. */
function withPipes(stdio) {
    const list = Array.isArray(stdio) ? [...stdio] : [stdio, stdio, stdio];
    const ours = new Map();
    list.forEach((entry, index) => {
        const fd = entry === 'inherit' ? index : entry && entry.fd !== undefined ? entry.fd : entry;
        if (isOurs(fd)) {
            list[index] = 'pipe';
            ours.set(index, fd);
        }
    });
    return { list, ours };
}

function countChildren() {
    const { ChildProcess, spawnSync, execFileSync, execSync } = childProcess;
    const spawn = ChildProcess.prototype.spawn;
    ChildProcess.prototype.spawn = function (options) {
        const { list, ours } = withPipes(options.stdio === undefined ? 'pipe' : options.stdio);
        if (ours.size === 0) return spawn.call(this, options);
        const result = spawn.call(this, { ...options, stdio: list });
        for (const [index, fd] of ours) {
            const pipe = this.stdio && this.stdio[index];
            if (!pipe) continue;
            pipe.on('data', data => streamOf(fd).write(data));
            this.stdio[index] = null;
            if (index === STDOUT) this.stdout = null;
            if (index === STDERR) this.stderr = null;
        }
        return result;
    };

    childProcess.spawnSync = function (file, args, options) {
        const given = Array.isArray(args) ? options : args && typeof args === 'object' ? args : options;
        const { list, ours } = withPipes(given && given.stdio || 'pipe');
        if (ours.size === 0) return spawnSync.call(childProcess, file, args, options);
        const piped = { maxBuffer: Infinity, ...given, stdio: list };
        const result = spawnSync.call(childProcess, file, Array.isArray(args) ? args : [], piped);
        for (const [index, fd] of ours) {
            if (!result.output) break;
            if (result.output[index]) streamOf(fd).write(result.output[index]);
            result.output[index] = null;
            if (index === STDOUT) result.stdout = null;
            if (index === STDERR) result.stderr = null;
        }
        return result;
    };

    // These two return stdout alone, so what was to be inherited has to be read one level below.
    const checked = (result, command) => {
        if (!result.error && result.status === 0) return result.stdout;
        const said = result.stderr && result.stderr.length > 0 ? `\n${result.stderr}` : '';
        throw Object.assign(result.error || new Error(`Command failed: ${command}${said}`), result);
    };
    const inherits = options => options && options.stdio && withPipes(options.stdio).ours.size > 0;
    childProcess.execSync = function (command, options) {
        if (!inherits(options)) return execSync.call(childProcess, command, options);
        return checked(childProcess.spawnSync(command, [], { ...options, shell: options.shell || true }), command);
    };
    childProcess.execFileSync = function (file, args, options) {
        const given = Array.isArray(args) ? options : args || options;
        if (!inherits(given)) return execFileSync.call(childProcess, file, args, options);
        const words = Array.isArray(args) ? args : [];
        return checked(childProcess.spawnSync(file, words, given), [file, ...words].join(' '));
    };
}

/** Has to be called before anything of the action is loaded. */
function countEverything() {
    countStream(STDOUT);
    countStream(STDERR);
    countFileWrites();
    countChildren();
    syncBuiltinESMExports();
}

module.exports = { countEverything, takeCounts, whenFlushed };
