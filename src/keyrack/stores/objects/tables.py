"""The tables of a state in its scratch database; what vouches for their rows is not here."""

from __future__ import annotations

TABLES = """
CREATE TABLE records (
    slot INTEGER PRIMARY KEY, kind TEXT, id TEXT, revision INTEGER, body BLOB, pepper TEXT, mac BLOB,
    tenant TEXT, name TEXT, owner TEXT, serial INTEGER
);
CREATE TABLE entries (number INTEGER PRIMARY KEY, slot INTEGER, commit_number INTEGER);
CREATE TABLE marks (token BLOB PRIMARY KEY, body BLOB, subject TEXT, at REAL);
CREATE TABLE pages (
    kind TEXT, page INTEGER, changed INTEGER, written INTEGER, name TEXT, PRIMARY KEY (kind, page)
);
CREATE TABLE instants (instant INTEGER PRIMARY KEY, slots INTEGER);
CREATE TABLE replaced (
    instant INTEGER, slot INTEGER, kind TEXT, id TEXT, revision INTEGER, body BLOB, pepper TEXT, mac BLOB,
    tenant TEXT, name TEXT, owner TEXT, serial INTEGER, PRIMARY KEY (instant, slot)
);
CREATE TRIGGER keep_replaced BEFORE UPDATE ON records BEGIN
    INSERT INTO replaced SELECT instant, old.slot, old.kind, old.id, old.revision, old.body, old.pepper,
        old.mac, old.tenant, old.name, old.owner, old.serial
    FROM instants WHERE slots >= old.slot AND NOT EXISTS (
        SELECT 1 FROM replaced WHERE instant = instants.instant AND slot = old.slot
    );
END;
"""
"""Slots number records, from 1, in the order in which they were made; `slot` of an entry is that of the
record it is about. `pages` says for each page of a checkpoint which commit `changed` it last, and under which
name it was `written` as of which commit. Of records that change, what they were stays in `replaced` for each
of the `instants` that somebody still looks at: see keyrack.stores.objects.frozen."""

INDEXES = (
    "CREATE UNIQUE INDEX records_id ON records (id, kind)",
    "CREATE INDEX records_name ON records (tenant, name)",
    "CREATE INDEX records_serial ON records (serial)",
    "CREATE INDEX records_tenant ON records (tenant, serial)",
    "CREATE INDEX entries_slot ON entries (slot)",
)
"""Made behind the rows of a checkpoint: sorted once instead of grown row by row."""
