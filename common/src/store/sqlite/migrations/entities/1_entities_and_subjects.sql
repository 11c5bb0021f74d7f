-- Entities of all kinds share their ids: one document id, one entity.
CREATE TABLE entities (
    id          TEXT    NOT NULL PRIMARY KEY, -- ns/name or ns/pkg/name
    kind        TEXT    NOT NULL,             -- action, package, trigger or rule
    root        TEXT    NOT NULL,             -- ns
    path        TEXT    NOT NULL,             -- ns or ns/pkg
    name        TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    tag         TEXT    NOT NULL,             -- of the revision: 8 hexadecimal digits of the document's SHA-256
    updated     INTEGER NOT NULL,             -- ms since 1970
    publish     INTEGER NOT NULL,
    code_digest TEXT,
    doc         TEXT    NOT NULL
);

CREATE INDEX entities_by_root ON entities (root, kind, updated DESC, id);
CREATE INDEX entities_by_path ON entities (path, kind, updated DESC, id);
CREATE INDEX public_by_root ON entities (root, kind, updated DESC, id) WHERE publish = 1;
CREATE INDEX public_by_path ON entities (path, kind, updated DESC, id) WHERE publish = 1;
CREATE INDEX entities_by_code ON entities (code_digest) WHERE code_digest IS NOT NULL;

-- Code, once for all the entities that refer to it.
CREATE TABLE codes (
    digest TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the text, in hexadecimal
    bytes  BLOB NOT NULL
);

CREATE TABLE subjects (
    subject TEXT    NOT NULL PRIMARY KEY,
    blocked INTEGER NOT NULL
) WITHOUT ROWID;

-- At most one key for each namespace of a subject.
CREATE TABLE keys (
    uuid      TEXT NOT NULL PRIMARY KEY,
    subject   TEXT NOT NULL REFERENCES subjects (subject) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    digest    BLOB NOT NULL, -- SHA-256 of the key
    sealed    BLOB NOT NULL  -- the key, under the installation's secret
) WITHOUT ROWID;

CREATE UNIQUE INDEX keys_by_subject ON keys (subject, namespace);
CREATE INDEX keys_by_namespace ON keys (namespace, subject);

CREATE TABLE limits (
    namespace TEXT NOT NULL PRIMARY KEY,
    doc       TEXT NOT NULL
) WITHOUT ROWID;

-- What was done once and is not to be done again.
CREATE TABLE marks (
    what TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
