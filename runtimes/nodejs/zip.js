'use strict';
// Unpacks a zip archive into a folder: stored and deflated entries, which is what every packer writes.
// The archive is somebody else's: nothing in it may land outside the folder, nor may a link in it lead
// out, and it may not unpack to more than a bounded size.

const fs = require('fs');
const path = require('path');
const zlib = require('zlib');

const MAX_UNPACKED = 512 * 1024 * 1024;
const MAX_ENTRIES = 100000;
const SIGNATURE = { end: 0x06054b50, entry: 0x02014b50, local: 0x04034b50 };
const FILE_TYPE = 0o170000;
const LINK = 0o120000;

const escape = name => new Error(`'${name}' leads out of the archive`);

/** The entries as the directory at the archive's end lists them. */
function* entries(archive) {
    let end = archive.length - 22;
    while (end >= 0 && archive.readUInt32LE(end) !== SIGNATURE.end) end--;
    if (end < 0) throw new Error('it has no directory');
    const count = archive.readUInt16LE(end + 10);
    let at = archive.readUInt32LE(end + 16);
    // 64-bit archives hold more, or are larger, than this takes.
    if (count > MAX_ENTRIES || count === 0xffff || at === 0xffffffff) throw new Error('it is too large');
    for (let i = 0; i < count; i++) {
        if (archive.readUInt32LE(at) !== SIGNATURE.entry) throw new Error('its directory is damaged');
        const nameLength = archive.readUInt16LE(at + 28);
        yield {
            encrypted: (archive.readUInt16LE(at + 8) & 1) !== 0,
            method: archive.readUInt16LE(at + 10),
            packedSize: archive.readUInt32LE(at + 20),
            size: archive.readUInt32LE(at + 24),
            // The upper half is the Unix mode if a Unix system (3) or macOS (19) made it.
            mode: [3, 19].includes(archive[at + 5]) ? archive.readUInt32LE(at + 38) >>> 16 : 0,
            local: archive.readUInt32LE(at + 42),
            name: archive.toString('utf8', at + 46, at + 46 + nameLength),
        };
        at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
    }
}

function contentOf(archive, entry) {
    if (entry.encrypted) throw new Error(`'${entry.name}' is encrypted`);
    if (archive.readUInt32LE(entry.local) !== SIGNATURE.local) throw new Error(`'${entry.name}' is damaged`);
    const start = entry.local + 30 + archive.readUInt16LE(entry.local + 26) + archive.readUInt16LE(entry.local + 28);
    const packed = archive.subarray(start, start + entry.packedSize);
    if (entry.method === 0) return packed;
    if (entry.method !== 8) throw new Error(`'${entry.name}' is packed in an unknown way`);
    if (entry.size === 0) return Buffer.alloc(0);
    return zlib.inflateRawSync(packed, { maxOutputLength: entry.size });
}

/** A name as a path inside the folder, or an error. */
function inside(name) {
    const clean = path.posix.normalize(name.replace(/\\/g, '/'));
    if (name.includes('\0') || path.posix.isAbsolute(clean) || clean.split('/')[0] === '..') throw escape(name);
    return clean;
}

/** A link may climb only at its start, only from a real folder, and not above the root. */
function link(folder, name, target) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    if (fs.realpathSync(path.dirname(file)) !== path.dirname(file)) throw escape(name);
    let depth = name.split('/').length - 1;
    let descending = false;
    if (target.startsWith('/')) throw escape(`${name} -> ${target}`);
    for (const part of target.split('/')) {
        if (part === '' || part === '.') continue;
        if (part !== '..') descending = true;
        else if (descending || depth-- === 0) throw escape(`${name} -> ${target}`);
    }
    fs.symlinkSync(target, file);
}

/** Unpacks `archive`, a Buffer, into `folder`, which exists and is empty. */
function unzip(archive, folder) {
    folder = fs.realpathSync(folder);
    let unpacked = 0;
    const links = [];
    for (const entry of entries(archive)) {
        const name = inside(entry.name);
        const file = path.join(folder, name);
        if (entry.name.endsWith('/')) {
            fs.mkdirSync(file, { recursive: true });
            continue;
        }
        unpacked += entry.size;
        if (unpacked > MAX_UNPACKED) throw new Error(`it unpacks to more than ${MAX_UNPACKED} bytes`);
        const content = contentOf(archive, entry);
        if ((entry.mode & FILE_TYPE) === LINK) {
            links.push([name, content.toString()]);
            continue;
        }
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, content, { mode: entry.mode & 0o111 ? 0o755 : 0o644 });
    }
    // Links come last, so that no file is ever written through one.
    for (const [name, target] of links) link(folder, name, target);
}

module.exports = { unzip };
