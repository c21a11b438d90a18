-- Database version 12 (FTL 5.15 to 5.25): names by number, and a view that gives the texts.
CREATE TABLE "query_storage" (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, type INTEGER NOT NULL, status INTEGER NOT NULL,
    domain INTEGER NOT NULL, client INTEGER NOT NULL, forward INTEGER, additional_info INTEGER,
    reply_type INTEGER, reply_time REAL, dnssec INTEGER);
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
    id, timestamp, type, status,
    CASE typeof(domain) WHEN 'integer' THEN (SELECT domain FROM domain_by_id d WHERE d.id = q.domain)
        ELSE domain END domain,
    CASE typeof(client) WHEN 'integer' THEN (SELECT ip FROM client_by_id c WHERE c.id = q.client)
        ELSE client END client,
    CASE typeof(forward) WHEN 'integer' THEN (SELECT forward FROM forward_by_id f WHERE f.id = q.forward)
        ELSE forward END forward,
    CASE typeof(additional_info) WHEN 'integer' THEN (SELECT content FROM addinfo_by_id a WHERE a.id = q.additional_info)
        ELSE additional_info END additional_info,
    reply_type, reply_time, dnssec
FROM query_storage q;
CREATE TABLE ftl (id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL);
CREATE TABLE counters (id INTEGER PRIMARY KEY NOT NULL, value INTEGER NOT NULL);
INSERT INTO ftl VALUES (0, 12), (1, 0);
INSERT INTO counters VALUES (0, 0), (1, 0);
