-- Database version 7 (FTL 5.0 to 5.13): the queries are one table of texts, times are whole seconds.
CREATE TABLE queries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, type INTEGER NOT NULL, status INTEGER NOT NULL,
    domain TEXT NOT NULL, client TEXT NOT NULL, forward TEXT, additional_info TEXT);
CREATE INDEX idx_queries_timestamps ON queries (timestamp);
CREATE TABLE ftl (id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL);
CREATE TABLE counters (id INTEGER PRIMARY KEY NOT NULL, value INTEGER NOT NULL);
INSERT INTO ftl VALUES (0, 7), (1, 0);
INSERT INTO counters VALUES (0, 0), (1, 0);
