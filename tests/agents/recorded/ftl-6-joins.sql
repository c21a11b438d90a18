-- Database version 22 (FTL 6, later): the view joins.
CREATE TABLE "query_storage" (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, type INTEGER NOT NULL, status INTEGER NOT NULL,
    domain INTEGER NOT NULL, client INTEGER NOT NULL, forward INTEGER, additional_info INTEGER,
    reply_type INTEGER, reply_time REAL, dnssec INTEGER,
    list_id INTEGER, ede INTEGER);
CREATE INDEX idx_queries_timestamps ON "query_storage" (timestamp);
CREATE TABLE domain_by_id (id INTEGER PRIMARY KEY, domain TEXT NOT NULL);
CREATE TABLE client_by_id (id INTEGER PRIMARY KEY, ip TEXT NOT NULL, name TEXT);
CREATE TABLE forward_by_id (id INTEGER PRIMARY KEY, forward TEXT NOT NULL);
CREATE TABLE addinfo_by_id (id INTEGER PRIMARY KEY, type INTEGER NOT NULL, content NOT NULL);
CREATE UNIQUE INDEX domain_by_id_domain_idx ON domain_by_id (domain);
CREATE UNIQUE INDEX client_by_id_client_idx ON client_by_id (ip, name);
CREATE UNIQUE INDEX forward_by_id_forward_idx ON forward_by_id (forward);
CREATE UNIQUE INDEX addinfo_by_id_idx ON addinfo_by_id (type, content);
CREATE VIEW queries AS SELECT
    q.id, q.timestamp, q.type, q.status,
    COALESCE(d.domain, q.domain) AS domain,
    COALESCE(c.ip, q.client) AS client,
    COALESCE(f.forward, q.forward) AS forward,
    COALESCE(a.content, q.additional_info) AS additional_info,
    q.reply_type, q.reply_time, q.dnssec, q.list_id, q.ede
FROM query_storage q
    LEFT JOIN domain_by_id d ON q.domain = d.id
    LEFT JOIN client_by_id c ON q.client = c.id
    LEFT JOIN forward_by_id f ON q.forward = f.id
    LEFT JOIN addinfo_by_id a ON q.additional_info = a.id;
CREATE TABLE ftl (id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL, description TEXT);
CREATE TABLE counters (id INTEGER PRIMARY KEY NOT NULL, value INTEGER NOT NULL);
INSERT INTO ftl VALUES (0, 22, 'Database version'), (1, 0, 'Unix timestamp of the latest stored query');
INSERT INTO counters VALUES (0, 0), (1, 0);
