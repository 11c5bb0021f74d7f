-- Names compare by byte, whatever the database's own order is. Documents are text, to the byte.

-- Code, once for all the entities that refer to it.
CREATE TABLE codes (
    digest text COLLATE "C" NOT NULL PRIMARY KEY, -- SHA-256 of the text, in hexadecimal
    bytes  bytea NOT NULL
);

-- Entities of all kinds share their ids: one document id, one entity.
CREATE TABLE entities (
    id          text COLLATE "C" NOT NULL PRIMARY KEY, -- ns/name or ns/pkg/name
    kind        text COLLATE "C" NOT NULL, -- action, package, trigger or rule
    root        text COLLATE "C" NOT NULL, -- ns
    path        text COLLATE "C" NOT NULL, -- ns or ns/pkg
    name        text COLLATE "C" NOT NULL,
    revision    bigint  NOT NULL,
    tag         text    NOT NULL,          -- of the revision: 8 hexadecimal digits of the document's SHA-256
    updated     bigint  NOT NULL,          -- ms since 1970
    publish     boolean NOT NULL,
    code_digest text COLLATE "C" REFERENCES codes (digest),
    doc         text    NOT NULL
);

CREATE INDEX entities_by_root ON entities (root, kind, updated DESC, id);
CREATE INDEX entities_by_path ON entities (path, kind, updated DESC, id);
CREATE INDEX public_by_root ON entities (root, kind, updated DESC, id) WHERE publish;
CREATE INDEX public_by_path ON entities (path, kind, updated DESC, id) WHERE publish;
CREATE INDEX entities_by_code ON entities (code_digest) WHERE code_digest IS NOT NULL;

CREATE TABLE subjects (
    subject text COLLATE "C" NOT NULL PRIMARY KEY,
    blocked boolean NOT NULL
);

-- At most one key for each namespace of a subject.
CREATE TABLE keys (
    uuid      text COLLATE "C" NOT NULL PRIMARY KEY,
    subject   text COLLATE "C" NOT NULL REFERENCES subjects (subject) ON DELETE CASCADE,
    namespace text COLLATE "C" NOT NULL,
    digest    bytea NOT NULL, -- SHA-256 of the key
    sealed    bytea NOT NULL  -- the key, under the installation's secret
);

CREATE UNIQUE INDEX keys_by_subject ON keys (subject, namespace);
CREATE INDEX keys_by_namespace ON keys (namespace, subject);

CREATE TABLE limits (
    namespace text COLLATE "C" NOT NULL PRIMARY KEY,
    doc       text NOT NULL
);

-- What was done once and is not to be done again.
CREATE TABLE marks (
    what text COLLATE "C" NOT NULL PRIMARY KEY
);
