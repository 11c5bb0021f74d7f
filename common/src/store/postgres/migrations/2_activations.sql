-- Ids are UUIDs of version 7, so a range of ids is a range of time: a partition holds the records of one
-- week and is dropped as a whole. Partitions are made ahead by the store; the default one takes what
-- belongs to no week that there is.
CREATE TABLE activations (
    id          uuid     NOT NULL PRIMARY KEY,
    namespace   text COLLATE "C" NOT NULL,
    filter_name text COLLATE "C" NOT NULL, -- name or pkg/name
    start       bigint   NOT NULL,         -- ms since 1970
    status      smallint NOT NULL,         -- 0 to 3
    size        bigint,
    head        text     NOT NULL,         -- all but response and logs, JSON
    result      text,                      -- JSON
    logs        text     NOT NULL          -- JSON
) PARTITION BY RANGE (id);

CREATE TABLE activations_default PARTITION OF activations DEFAULT;

CREATE INDEX activations_by_namespace ON activations (namespace, start, id);
CREATE INDEX activations_by_name ON activations (namespace, filter_name, start, id);

-- How many there are, so that counting millions costs what counting none does. Each number is the sum
-- of its slots: connections that write at the same time seldom wait for the same row.
CREATE TABLE totals (
    namespace   text COLLATE "C" NOT NULL,
    filter_name text COLLATE "C" NOT NULL,
    slot        integer NOT NULL,
    number      bigint  NOT NULL,
    PRIMARY KEY (namespace, filter_name, slot)
) WITH (fillfactor = 50);

-- Rows of totals are always locked in the order of their names, so that writers do not lock each other out.
CREATE FUNCTION activations_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals (namespace, filter_name, slot, number)
        SELECT namespace, filter_name, pg_backend_pid() % 8, count(*) FROM written
        GROUP BY namespace, filter_name ORDER BY namespace, filter_name
        ON CONFLICT (namespace, filter_name, slot) DO UPDATE SET number = totals.number + excluded.number;
    RETURN NULL;
END $$;

CREATE FUNCTION activations_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals (namespace, filter_name, slot, number)
        SELECT namespace, filter_name, pg_backend_pid() % 8, sum(one) FROM (
            SELECT namespace, filter_name, 1 AS one FROM written
            UNION ALL SELECT namespace, filter_name, -1 FROM replaced
        ) AS changed
        GROUP BY namespace, filter_name HAVING sum(one) <> 0 ORDER BY namespace, filter_name
        ON CONFLICT (namespace, filter_name, slot) DO UPDATE SET number = totals.number + excluded.number;
    RETURN NULL;
END $$;

CREATE FUNCTION activations_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO totals (namespace, filter_name, slot, number)
        SELECT namespace, filter_name, pg_backend_pid() % 8, -count(*) FROM replaced
        GROUP BY namespace, filter_name ORDER BY namespace, filter_name
        ON CONFLICT (namespace, filter_name, slot) DO UPDATE SET number = totals.number + excluded.number;
    RETURN NULL;
END $$;

CREATE TRIGGER activations_inserted AFTER INSERT ON activations
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION activations_inserted();
CREATE TRIGGER activations_updated AFTER UPDATE ON activations
    REFERENCING OLD TABLE AS replaced NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION activations_updated();
CREATE TRIGGER activations_deleted AFTER DELETE ON activations
    REFERENCING OLD TABLE AS replaced FOR EACH STATEMENT EXECUTE FUNCTION activations_deleted();
