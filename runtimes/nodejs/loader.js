'use strict';
// From the value of an /init request to the function that /run calls. What is accepted, and the sentences
// for what is not, are upstream's (apache/openwhisk-runtime-nodejs: core/nodejsActionBase/runner.js).
// We take ES modules too, which there fail to load.

const fs = require('fs');
const os = require('os');
const path = require('path');
const vm = require('vm');
const Module = require('module');
const { pathToFileURL } = require('url');

const BROKEN_ARCHIVE = 'There was an error uncompressing the action archive.';
/** What Node says about CommonJS that is an ES module. */
const ES_MODULE = /Cannot use import statement outside a module|Unexpected token 'export'|import\.meta' outside/;

/** A new, private folder for the code, below which the packages on board are found too. */
function newFolder(packages) {
    let root;
    try {
        root = fs.mkdtempSync(path.join(process.cwd(), 'action-'));
    } catch {
        root = fs.mkdtempSync(path.join(os.tmpdir(), 'action-'));
    }
    root = fs.realpathSync(root);
    // What comes with the action lies deeper, and so wins.
    fs.symlinkSync(packages, path.join(root, 'node_modules'));
    const folder = path.join(root, 'code');
    fs.mkdirSync(folder);
    return folder;
}

/** `main` of `a.b.main`, from what a module exports. */
function member(exported, names) {
    return names.reduce((object, name) => (object === undefined || object === null ? undefined : object[name]), exported);
}

function functionOr(handler, main) {
    if (typeof handler === 'function') return handler;
    throw `Action entrypoint '${main}' is not a function.`;
}

/** The same, where what is exported may be an ES module: among its own exports, or in its default one. */
function exportedMember(exported, names) {
    const found = member(exported, names);
    if (found !== undefined || !exported || exported.default === undefined) return found;
    if (names.join('.') === 'main' && typeof exported.default === 'function') return exported.default;
    return member(exported.default, names);
}

/** Source text: `main` is looked for as a variable first and then among the exports. */
async function loadSource(code, main, folder) {
    const file = path.join(folder, 'action.js');
    const module = new Module(file, null);
    module.filename = file;
    module.paths = Module._nodeModulePaths(folder);
    let found;
    module.found = handler => {
        delete module.found;
        found = handler;
    };
    // As upstream does; the names of the source are visible only from inside it.
    const wrapped = `${code}
;module.found((() => { try { return ${main} } catch (e) {
if (e.name === 'ReferenceError') { return module.exports.${main} || exports.${main} } else throw e } })());`;
    try {
        // Where Node tells ES modules by itself, it must not: what was added to the text is none.
        module._compile(wrapped, file, 'commonjs');
    } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        if (!ES_MODULE.test(error.message)) {
            // Said of the text that was sent, not of what was added to it.
            vm.compileFunction(code, ['exports', 'require', 'module', '__filename', '__dirname'], { filename: file });
            throw error;
        }
        const moduleFile = path.join(folder, 'action.mjs');
        fs.writeFileSync(moduleFile, code);
        found = exportedMember(await import(pathToFileURL(moduleFile).href), main.split('.'));
    }
    return functionOr(found, main);
}

async function loadArchive(code, main, folder) {
    const archive = Buffer.from(code, 'base64');
    if (archive.toString('latin1', 0, 2) !== 'PK') {
        throw 'There was an error uncompressing the action archive. The file type is unsupported';
    }
    try {
        require('./zip').unzip(archive, folder);
    } catch (error) {
        throw `${BROKEN_ARCHIVE} (${error.message})`;
    }
    process.chdir(folder);
    // `function`, or `file.function`, where a file's function may be a member of something.
    const names = main.split('.');
    const index = names.length > 1 ? names.shift() : undefined;
    if (index === undefined && !fs.existsSync('package.json') && !fs.existsSync('index.js')) {
        throw 'Zipped actions must contain either package.json or index.js at the root.';
    }
    const requireHere = Module.createRequire(path.join(folder, 'index.js'));
    const what = index === undefined ? folder : path.join(folder, index);
    let exported;
    try {
        exported = requireHere(what);
    } catch (error) {
        if (error.code !== 'ERR_REQUIRE_ESM') throw error;
        exported = await import(pathToFileURL(requireHere.resolve(what)).href);
    }
    return functionOr(exportedMember(exported, names), main);
}

/** Resolves to the function, or rejects with a sentence or an error that says what is wrong. */
async function load(value, packages) {
    const folder = newFolder(packages);
    return value.binary ? loadArchive(value.code, value.main, folder) : loadSource(value.code, value.main, folder);
}

module.exports = { load };
