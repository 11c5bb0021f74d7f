-- What lists read comes first: results and logs may be large and then lie on pages of their own.
CREATE TABLE activations (
    id          BLOB    NOT NULL PRIMARY KEY, -- 16 bytes
    namespace   TEXT    NOT NULL,
    filter_name TEXT    NOT NULL,             -- name or pkg/name
    start       INTEGER NOT NULL,             -- ms since 1970
    status      INTEGER NOT NULL,             -- 0 to 3
    size        INTEGER,
    head        TEXT    NOT NULL,             -- all but response and logs, JSON
    result      TEXT,                         -- JSON
    logs        TEXT    NOT NULL              -- JSON
);

CREATE INDEX activations_by_namespace ON activations (namespace, start, id);
CREATE INDEX activations_by_name ON activations (namespace, filter_name, start, id);

-- How many there are, so that counting millions costs what counting none does.
CREATE TABLE totals (
    namespace   TEXT    NOT NULL,
    filter_name TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    PRIMARY KEY (namespace, filter_name)
) WITHOUT ROWID;

CREATE TRIGGER activation_counted AFTER INSERT ON activations BEGIN
    INSERT INTO totals (namespace, filter_name, number) VALUES (NEW.namespace, NEW.filter_name, 1)
        ON CONFLICT (namespace, filter_name) DO UPDATE SET number = number + 1;
END;

CREATE TRIGGER activation_discounted AFTER DELETE ON activations BEGIN
    UPDATE totals SET number = number - 1
        WHERE namespace = OLD.namespace AND filter_name = OLD.filter_name;
END;

CREATE TRIGGER activation_recounted AFTER UPDATE OF namespace, filter_name ON activations
WHEN OLD.namespace <> NEW.namespace OR OLD.filter_name <> NEW.filter_name BEGIN
    UPDATE totals SET number = number - 1
        WHERE namespace = OLD.namespace AND filter_name = OLD.filter_name;
    INSERT INTO totals (namespace, filter_name, number) VALUES (NEW.namespace, NEW.filter_name, 1)
        ON CONFLICT (namespace, filter_name) DO UPDATE SET number = number + 1;
END;
