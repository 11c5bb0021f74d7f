-- Controllers and invokers. A row stays when its node goes: who comes next takes it once the lease is over.
CREATE TABLE nodes (
    kind        text COLLATE "C" NOT NULL, -- controller or invoker
    id          integer NOT NULL CHECK (id >= 0),
    unique_name text COLLATE "C",          -- of a node that wants the same id again
    holder      text COLLATE "C" NOT NULL, -- made up by whoever took the id
    address     text NOT NULL,             -- host:port
    lease       timestamptz NOT NULL,      -- the node is live until then, by the clock of this database
    PRIMARY KEY (kind, id),
    UNIQUE (kind, unique_name)
);
