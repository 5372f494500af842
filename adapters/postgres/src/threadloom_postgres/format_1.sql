-- Format 1. `@` stands for the schema, quoted, and '@versions' for the sequence as a text;
-- statements are separated by lines of `--`.

CREATE TABLE @.about (
    format integer NOT NULL,
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
)
--
-- Versions of records: never given out twice, not even after a deletion or a crash.
CREATE SEQUENCE @.versions AS bigint
--
-- The records. `part` and `space` are hashes of the partition and of the namespace; the first
-- four bits of `part` say in which of 16 tables a record is.
--   key        what an index can hold: of a long key, its beginning and a hash
--   long_key   the whole key, where it is a long one
--   doc        the document; beside an `odd_doc`, what listings go by of it
--   odd_doc    a document that jsonb would not give back as it is, in JSON
--   odd_text   a text that PostgreSQL cannot hold, in UTF-8 with surrogates
--   words      what full-text search finds
CREATE TABLE @.records (
    part bigint NOT NULL,
    space bigint NOT NULL,
    ver bigint NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    expires bigint,
    key text COLLATE "C" NOT NULL,
    long_key text COLLATE "C",
    doc jsonb,
    odd_doc bytea,
    blob bytea,
    text text,
    odd_text bytea,
    words tsvector,
    PRIMARY KEY (part, space, key)
) PARTITION BY RANGE (part)
--
CREATE TABLE @.records_00 PARTITION OF @.records
    FOR VALUES FROM (MINVALUE) TO (-8070450532247928832)
--
CREATE TABLE @.records_01 PARTITION OF @.records
    FOR VALUES FROM (-8070450532247928832) TO (-6917529027641081856)
--
CREATE TABLE @.records_02 PARTITION OF @.records
    FOR VALUES FROM (-6917529027641081856) TO (-5764607523034234880)
--
CREATE TABLE @.records_03 PARTITION OF @.records
    FOR VALUES FROM (-5764607523034234880) TO (-4611686018427387904)
--
CREATE TABLE @.records_04 PARTITION OF @.records
    FOR VALUES FROM (-4611686018427387904) TO (-3458764513820540928)
--
CREATE TABLE @.records_05 PARTITION OF @.records
    FOR VALUES FROM (-3458764513820540928) TO (-2305843009213693952)
--
CREATE TABLE @.records_06 PARTITION OF @.records
    FOR VALUES FROM (-2305843009213693952) TO (-1152921504606846976)
--
CREATE TABLE @.records_07 PARTITION OF @.records
    FOR VALUES FROM (-1152921504606846976) TO (0)
--
CREATE TABLE @.records_08 PARTITION OF @.records
    FOR VALUES FROM (0) TO (1152921504606846976)
--
CREATE TABLE @.records_09 PARTITION OF @.records
    FOR VALUES FROM (1152921504606846976) TO (2305843009213693952)
--
CREATE TABLE @.records_10 PARTITION OF @.records
    FOR VALUES FROM (2305843009213693952) TO (3458764513820540928)
--
CREATE TABLE @.records_11 PARTITION OF @.records
    FOR VALUES FROM (3458764513820540928) TO (4611686018427387904)
--
CREATE TABLE @.records_12 PARTITION OF @.records
    FOR VALUES FROM (4611686018427387904) TO (5764607523034234880)
--
CREATE TABLE @.records_13 PARTITION OF @.records
    FOR VALUES FROM (5764607523034234880) TO (6917529027641081856)
--
CREATE TABLE @.records_14 PARTITION OF @.records
    FOR VALUES FROM (6917529027641081856) TO (8070450532247928832)
--
CREATE TABLE @.records_15 PARTITION OF @.records
    FOR VALUES FROM (8070450532247928832) TO (MAXVALUE)
--
CREATE INDEX records_words ON @.records USING gin (words)
    WITH (gin_pending_list_limit = 128) WHERE words IS NOT NULL
--
CREATE INDEX records_expires ON @.records (expires) WHERE expires IS NOT NULL
--
-- The namespaces that hold records. A wide one, such as that of all sessions, has its records
-- in many partitions: `listed` says in which.
CREATE TABLE @.spaces (
    part bigint NOT NULL,
    space bigint NOT NULL,
    wide boolean NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (part, space)
)
--
CREATE INDEX spaces_name ON @.spaces (left(name, 400))
--
-- Sessions by what listings filter and order by: one row a value, and one with an empty entry.
CREATE TABLE @.listed (
    space bigint NOT NULL,
    part bigint NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    entry text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (space, key, entry)
)
--
CREATE INDEX listed_created ON @.listed (space, entry, created, key)
--
CREATE INDEX listed_updated ON @.listed (space, entry, updated, key)
--
CREATE FUNCTION @.entry(field text, value text) RETURNS text
LANGUAGE sql IMMUTABLE AS $body$
    SELECT CASE
        WHEN octet_length(value) <= 200 THEN field || ':' || value
        ELSE field || '#' || encode(sha256(convert_to(value, 'UTF8')), 'hex')
    END
$body$
--
CREATE FUNCTION @.moment(value jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $body$
    SELECT CASE jsonb_typeof(value)
        WHEN 'number' THEN trunc(greatest(least(value::numeric, 9e18), -9e18))::bigint
        ELSE 0
    END
$body$
--
-- How long a document is without spaces, in bytes.
CREATE FUNCTION @.json_size(doc jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $body$
    SELECT octet_length(regexp_replace(doc::text, '("(?:[^"\\]|\\.)*")|\s', '\1', 'g'))::bigint
$body$
--
-- Makes the list say what a session's document says.
CREATE FUNCTION @.enlist(in_space bigint, in_part bigint, at_key text, doc jsonb) RETURNS void
LANGUAGE plpgsql AS $body$
BEGIN
    DELETE FROM @.listed l WHERE l.space = in_space AND l.key = at_key;
    INSERT INTO @.listed (space, part, created, updated, entry, key)
    SELECT in_space, in_part, coalesce(@.moment(doc -> 'created_at'), 0),
        coalesce(@.moment(doc -> 'updated_at'), 0), e.entry, at_key
    FROM (
        SELECT '' AS entry
        UNION
        SELECT @.entry(f.field, doc ->> f.field)
        FROM unnest(ARRAY['owner', 'agent_name', 'status']) AS f (field)
        WHERE jsonb_typeof(doc -> f.field) = 'string'
        UNION
        SELECT @.entry('tag', t.tag #>> '{}')
        FROM jsonb_array_elements(
            CASE jsonb_typeof(doc -> 'tags') WHEN 'array' THEN doc -> 'tags' ELSE '[]' END
        ) AS t (tag)
        WHERE jsonb_typeof(t.tag) = 'string'
    ) AS e;
END
$body$
--
-- A batch of writes: one operation an index of the arrays, in order, all or nothing.
--   patience      how long to wait for a lock at most: less long than the client waits for an answer,
--                 or what it has given up would be done later
--   whole, locks  advisory locks: `whole` is shared, and taken alone where `locks` is null
--   new_*         namespaces that are written to
--   kinds         1 put, 2 put and keep, 3 patch, 4 check, 5 delete, 6 renew, 7 drop a tree
--   listings      whether the record is a session's
--   expects       null for anything, -1 absent, -2 present, or a version
--   docs          of a patch: an object with set, maximum, increment and life
--   expiries      of a patch: -1 leaves it
--   keys          of a tree: its namespace; `parts` is null where it lies in many partitions
-- One result an operation: a version, a count, 0 or 1, or null.
-- There is such a function for each of the 16 tables as well, `apply_1_00` and so on, which takes
-- batches of which all is in that one: then nothing is to be planned or locked of the others.
-- Errors: TL001 another isolation is needed; TL002 an expectation of the operation whose number
-- is the message has failed; TL003 a patch of a document that only the client can read.
CREATE FUNCTION @.apply_1(
    patience text, moment bigint, whole bigint, locks bigint[],
    new_parts bigint[], new_spaces bigint[], new_wide boolean[], new_names text[],
    kinds smallint[], listings boolean[], parts bigint[], spaces bigint[],
    keys text[], long_keys text[], expects bigint[], docs text[], odd_docs bytea[],
    blobs bytea[], texts text[], odd_texts bytea[], all_words text[], expiries bigint[]
) RETURNS bigint[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $body$
DECLARE
    version bigint;
    results bigint[] := '{}';
    result bigint;
    kind smallint;
    the_part bigint;
    the_space bigint;
    the_key text;
    expected bigint;
    found_ver bigint;
    found_expires bigint;
    found_doc jsonb;
    found_odd boolean;
    alive boolean;
    change jsonb;
    new_doc jsonb;
    new_expires bigint;
    field text;
    value jsonb;
    stored jsonb;
    gone bigint;
    places @.spaces[];
    place @.spaces;
    emptied boolean := false;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'read committed is needed' USING ERRCODE = 'TL001';
    END IF;
    patience := set_config('lock_timeout', patience, true);
    IF locks IS NULL THEN
        PERFORM pg_advisory_xact_lock(whole);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(whole);
        FOR i IN 1..cardinality(locks) LOOP
            PERFORM pg_advisory_xact_lock(locks[i]);
        END LOOP;
    END IF;
    version := nextval('@versions');
    IF new_parts IS NOT NULL THEN
        INSERT INTO @.spaces (part, space, wide, name)
        SELECT * FROM unnest(new_parts, new_spaces, new_wide, new_names)
        ON CONFLICT DO NOTHING;
    END IF;
    FOR i IN 1..cardinality(kinds) LOOP
        kind := kinds[i];
        the_part := parts[i];
        the_space := spaces[i];
        the_key := keys[i];
        expected := expects[i];
        result := NULL;
        IF kind > 2 AND kind < 6 OR expected IS NOT NULL OR listings[i] THEN
            SELECT r.ver, r.expires, CASE WHEN kind = 3 OR listings[i] THEN r.doc END,
                r.odd_doc IS NOT NULL
            INTO found_ver, found_expires, found_doc, found_odd
            FROM @.records r WHERE r.part = the_part AND r.space = the_space AND r.key = the_key;
            alive := found_ver IS NOT NULL AND (found_expires IS NULL OR found_expires > moment);
            IF kind <> 6 AND expected IS NOT NULL AND NOT (CASE expected
                WHEN -1 THEN NOT alive WHEN -2 THEN alive ELSE alive AND found_ver = expected
            END) THEN
                RAISE EXCEPTION '%', i USING ERRCODE = 'TL002';
            END IF;
        END IF;
        CASE kind
        WHEN 1, 2 THEN
            new_doc := docs[i]::jsonb;
            INSERT INTO @.records AS r (
                part, space, key, long_key, ver, created, updated, expires,
                doc, odd_doc, blob, text, odd_text, words
            ) VALUES (
                the_part, the_space, the_key, long_keys[i], version, moment, moment, expiries[i],
                new_doc, odd_docs[i], blobs[i], texts[i], odd_texts[i], all_words[i]::tsvector
            )
            ON CONFLICT (part, space, key) DO UPDATE SET
                ver = excluded.ver,
                created = CASE
                    WHEN r.expires IS NULL OR r.expires > moment THEN r.created ELSE moment
                END,
                updated = moment, expires = excluded.expires, doc = excluded.doc,
                odd_doc = excluded.odd_doc, blob = excluded.blob, text = excluded.text,
                odd_text = excluded.odd_text, words = excluded.words
            WHERE kind = 1 OR r.expires <= moment;
            IF FOUND THEN
                result := version;
                IF listings[i] THEN
                    PERFORM @.enlist(the_space, the_part, the_key, new_doc);
                END IF;
            END IF;
        WHEN 3 THEN
            IF alive THEN
                IF found_odd THEN
                    RAISE EXCEPTION '%', i USING ERRCODE = 'TL003';
                END IF;
                change := docs[i];
                found_doc := coalesce(found_doc, '{}');
                new_doc := found_doc || (change -> 'set');
                IF change ? 'maximum' THEN
                    FOR field, value IN SELECT * FROM jsonb_each(change -> 'maximum') LOOP
                        stored := new_doc -> field;
                        IF stored IS NULL OR jsonb_typeof(stored) <> 'number'
                            OR stored::numeric < value::numeric THEN
                            new_doc := new_doc || jsonb_build_object(field, value);
                        END IF;
                    END LOOP;
                END IF;
                IF change ? 'increment' THEN
                    FOR field, value IN SELECT * FROM jsonb_each(change -> 'increment') LOOP
                        stored := new_doc -> field;
                        IF jsonb_typeof(stored) = 'number' THEN
                            value := to_jsonb(stored::numeric + value::numeric);
                        END IF;
                        new_doc := new_doc || jsonb_build_object(field, value);
                    END LOOP;
                END IF;
                new_expires := expiries[i];
                IF change ? 'life' THEN
                    value := new_doc -> (change ->> 'life');
                    new_expires := CASE
                        WHEN jsonb_typeof(value) = 'number' AND strpos(value::text, '.') = 0
                        THEN moment + value::bigint
                    END;
                ELSIF new_expires = -1 THEN
                    new_expires := found_expires;
                END IF;
                IF texts[i] IS NULL AND odd_texts[i] IS NULL THEN
                    UPDATE @.records r
                    SET ver = version, updated = moment, expires = new_expires, doc = new_doc
                    WHERE r.part = the_part AND r.space = the_space AND r.key = the_key;
                ELSE
                    UPDATE @.records r
                    SET ver = version, updated = moment, expires = new_expires, doc = new_doc,
                        text = texts[i], odd_text = odd_texts[i], words = all_words[i]::tsvector
                    WHERE r.part = the_part AND r.space = the_space AND r.key = the_key;
                END IF;
                IF listings[i] THEN
                    IF found_doc -> 'owner' IS DISTINCT FROM new_doc -> 'owner'
                        OR found_doc -> 'agent_name' IS DISTINCT FROM new_doc -> 'agent_name'
                        OR found_doc -> 'status' IS DISTINCT FROM new_doc -> 'status'
                        OR found_doc -> 'tags' IS DISTINCT FROM new_doc -> 'tags' THEN
                        PERFORM @.enlist(the_space, the_part, the_key, new_doc);
                    ELSE
                        UPDATE @.listed l
                        SET created = coalesce(@.moment(new_doc -> 'created_at'), 0),
                            updated = coalesce(@.moment(new_doc -> 'updated_at'), 0)
                        WHERE l.space = the_space AND l.key = the_key;
                    END IF;
                END IF;
                result := version;
            END IF;
        WHEN 4 THEN
            NULL;
        WHEN 5 THEN
            result := alive::int;
            IF found_ver IS NOT NULL THEN
                DELETE FROM @.records r
                WHERE r.part = the_part AND r.space = the_space AND r.key = the_key;
                IF listings[i] THEN
                    DELETE FROM @.listed l WHERE l.space = the_space AND l.key = the_key;
                END IF;
                emptied := true;
            END IF;
        WHEN 6 THEN
            UPDATE @.records r SET expires = expiries[i]
            WHERE r.part = the_part AND r.space = the_space AND r.key = the_key
                AND r.ver = expected AND r.expires > moment AND r.expires < expiries[i];
            result := FOUND::int;
        WHEN 7 THEN
            result := 0;
            -- Two statements: one for both cases would read the names of all sessions.
            IF the_part IS NULL THEN
                places := ARRAY(SELECT s FROM @.spaces s WHERE the_key = '' OR s.name = the_key
                    OR s.name >= the_key || '.' AND s.name < the_key || '/');
            ELSE
                places := ARRAY(SELECT s FROM @.spaces s WHERE s.part = the_part AND (
                    the_key = '' OR s.name = the_key
                    OR s.name >= the_key || '.' AND s.name < the_key || '/'));
            END IF;
            FOREACH place IN ARRAY places LOOP
                IF place.wide THEN
                    WITH sessions AS (
                        DELETE FROM @.listed l WHERE l.space = place.space
                        RETURNING l.part, l.key, l.entry
                    ), dropped AS (
                        DELETE FROM @.records r USING sessions s
                        WHERE s.entry = '' AND r.part = s.part AND r.space = place.space
                            AND r.key = s.key
                        RETURNING r.expires
                    )
                    SELECT count(*) FILTER (WHERE expires IS NULL OR expires > moment)
                    INTO gone FROM dropped;
                ELSE
                    WITH dropped AS (
                        DELETE FROM @.records r
                        WHERE r.part = place.part AND r.space = place.space
                        RETURNING r.expires
                    )
                    SELECT count(*) FILTER (WHERE expires IS NULL OR expires > moment)
                    INTO gone FROM dropped;
                END IF;
                result := result + gone;
                emptied := true;
            END LOOP;
        END CASE;
        results := results || result;
    END LOOP;
    IF emptied THEN
        -- A name of a namespace holds its session's id, so it goes with the last record. (An
        -- offset has the records looked up one by one.)
        IF parts IS NULL OR array_position(parts, NULL) IS NOT NULL THEN
            DELETE FROM @.spaces s
            WHERE NOT s.wide AND NOT EXISTS (
                SELECT FROM @.records r WHERE r.part = s.part AND r.space = s.space OFFSET 0
            );
        ELSE
            DELETE FROM @.spaces s
            WHERE s.part = ANY (parts) AND NOT s.wide AND NOT EXISTS (
                SELECT FROM @.records r WHERE r.part = s.part AND r.space = s.space OFFSET 0
            );
        END IF;
    END IF;
    RETURN results;
END
$body$
--
-- A batch of the usual kinds in one partition, whose records differ from one another, done at once:
-- of what a step of a graph writes, nearly everything. The same as `apply_1` would do, in half its
-- time: a function's expressions are prepared anew in each transaction, so few statements beat many.
--   the_part, lock  the partition, and its lock
--   new_*           namespaces that are written to
--   at_*            records of which something is expected; `at_expects` as of `apply_1`, or -3:
--                   what is there is to be kept. These come first, and are the first of the puts
--   put_*           as of `apply_1`
--   patch_*         the only patch: fields to be set, at most one to be raised, one to be added to
--   listing         whether it is a session's
-- Returns the version, 1 where the patch found its record, and of each put that keeps what is there
-- whether it did.
-- Errors: as of `apply_1`; TL002 has the number of the record among those of `at_keys`.
-- There is one such function for each of the 16 tables.
CREATE FUNCTION @.write_1(
    patience text, moment bigint, whole bigint, lock bigint, the_part bigint,
    new_spaces bigint[], new_names text[],
    at_expects bigint[], at_spaces bigint[], at_keys text[],
    put_spaces bigint[], put_keys text[], put_long_keys text[], put_docs text[],
    put_odd_docs bytea[], put_blobs bytea[], put_texts text[], put_odd_texts bytea[],
    put_words text[], put_expiries bigint[],
    patch_space bigint, patch_key text, change jsonb, raised text, raised_to bigint,
    added_to text, added bigint, life text, patch_expires bigint, listing boolean
) RETURNS bigint[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $body$
DECLARE
    version bigint;
    failed bigint;
    kept bigint[];
    before record;
    new_doc jsonb;
    patched bigint := 0;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'read committed is needed' USING ERRCODE = 'TL001';
    END IF;
    patience := set_config('lock_timeout', patience, true);
    PERFORM pg_advisory_xact_lock_shared(whole), pg_advisory_xact_lock(lock);
    version := nextval('@versions');
    IF at_keys IS NOT NULL THEN
        SELECT min(s.number) FILTER (WHERE NOT CASE s.expects
                WHEN -1 THEN NOT s.alive WHEN -2 THEN s.alive WHEN -3 THEN true
                ELSE s.alive AND s.ver = s.expects
            END),
            array_agg(s.alive::int::bigint ORDER BY s.number) FILTER (WHERE s.expects = -3)
        INTO failed, kept
        FROM (
            SELECT a.number, a.expects, r.ver,
                r.ver IS NOT NULL AND (r.expires IS NULL OR r.expires > moment) AS alive
            FROM unnest(at_expects, at_spaces, at_keys)
                WITH ORDINALITY AS a (expects, space, key, number)
            LEFT JOIN LATERAL ( -- one by one: joined, all of the partition would be read
                SELECT o.ver, o.expires FROM @.records o
                WHERE o.part = the_part AND o.space = a.space AND o.key = a.key LIMIT 1
            ) AS r ON true
        ) AS s;
        IF failed IS NOT NULL THEN
            RAISE EXCEPTION '%', failed USING ERRCODE = 'TL002';
        END IF;
    END IF;
    IF put_keys IS NOT NULL THEN
        INSERT INTO @.spaces (part, space, wide, name)
        SELECT the_part, n.space, false, n.name FROM unnest(new_spaces, new_names) AS n (space, name)
        ON CONFLICT DO NOTHING;
        INSERT INTO @.records AS r (
            part, space, key, long_key, ver, created, updated, expires,
            doc, odd_doc, blob, text, odd_text, words
        )
        SELECT the_part, p.space, p.key, p.long_key, version, moment, moment, p.expires,
            p.doc::jsonb, p.odd_doc, p.blob, p.text, p.odd_text, p.words::tsvector
        FROM unnest(
            put_spaces, put_keys, put_long_keys, put_docs, put_odd_docs, put_blobs, put_texts,
            put_odd_texts, put_words, put_expiries
        ) WITH ORDINALITY AS p (
            space, key, long_key, doc, odd_doc, blob, text, odd_text, words, expires, number
        )
        WHERE kept IS NULL OR kept[p.number] IS DISTINCT FROM 1
        ON CONFLICT (part, space, key) DO UPDATE SET
            ver = excluded.ver,
            created = CASE
                WHEN r.expires IS NULL OR r.expires > moment THEN r.created ELSE moment
            END,
            updated = moment, expires = excluded.expires, doc = excluded.doc,
            odd_doc = excluded.odd_doc, blob = excluded.blob, text = excluded.text,
            odd_text = excluded.odd_text, words = excluded.words;
    END IF;
    IF patch_key IS NOT NULL THEN
        SELECT coalesce(r.doc, '{}') AS doc, r.odd_doc IS NOT NULL AS odd INTO before
        FROM @.records r
        WHERE r.part = the_part AND r.space = patch_space AND r.key = patch_key
            AND (r.expires IS NULL OR r.expires > moment);
        IF before.doc IS NOT NULL THEN
            IF before.odd THEN
                RAISE EXCEPTION 'odd' USING ERRCODE = 'TL003';
            END IF;
            new_doc := before.doc || change;
            IF raised IS NOT NULL THEN
                new_doc := new_doc || jsonb_build_object(raised, CASE
                    WHEN jsonb_typeof(new_doc -> raised) = 'number'
                    THEN greatest((new_doc -> raised)::numeric, raised_to) ELSE raised_to
                END);
            END IF;
            IF added_to IS NOT NULL THEN
                new_doc := new_doc || jsonb_build_object(added_to, CASE
                    WHEN jsonb_typeof(new_doc -> added_to) = 'number'
                    THEN (new_doc -> added_to)::numeric + added ELSE added
                END);
            END IF;
            UPDATE @.records r
            SET ver = version, updated = moment, doc = new_doc, expires = CASE
                WHEN life IS NULL THEN
                    CASE patch_expires WHEN -1 THEN r.expires ELSE patch_expires END
                WHEN jsonb_typeof(new_doc -> life) = 'number'
                    AND strpos((new_doc -> life)::text, '.') = 0
                THEN moment + (new_doc -> life)::bigint
            END
            WHERE r.part = the_part AND r.space = patch_space AND r.key = patch_key;
            patched := 1;
            IF listing THEN
                IF ROW(before.doc -> 'owner', before.doc -> 'agent_name', before.doc -> 'status',
                    before.doc -> 'tags') IS DISTINCT FROM ROW(new_doc -> 'owner',
                    new_doc -> 'agent_name', new_doc -> 'status', new_doc -> 'tags') THEN
                    PERFORM @.enlist(patch_space, the_part, patch_key, new_doc);
                ELSE
                    UPDATE @.listed l
                    SET created = coalesce(@.moment(new_doc -> 'created_at'), 0),
                        updated = coalesce(@.moment(new_doc -> 'updated_at'), 0)
                    WHERE l.space = patch_space AND l.key = patch_key;
                END IF;
            END IF;
        END IF;
    END IF;
    RETURN ARRAY[version, patched] || kept;
END
$body$
--
-- Copies namespaces, one to another each, of which none is wide; how many records it were. The
-- transaction has locked both.
CREATE FUNCTION @.copy_1(
    moment bigint, from_parts bigint[], from_spaces bigint[],
    to_parts bigint[], to_spaces bigint[], to_names text[]
) RETURNS bigint
LANGUAGE plpgsql AS $body$
DECLARE
    version bigint := nextval('@versions');
    copied bigint := 0;
    gone bigint;
BEGIN
    FOR i IN 1..cardinality(from_parts) LOOP
        INSERT INTO @.records (
            part, space, key, long_key, ver, created, updated, expires,
            doc, odd_doc, blob, text, odd_text, words
        )
        SELECT to_parts[i], to_spaces[i], r.key, r.long_key, version, moment, moment, r.expires,
            r.doc, r.odd_doc, r.blob, r.text, r.odd_text, r.words
        FROM @.records r
        WHERE r.part = from_parts[i] AND r.space = from_spaces[i]
            AND (r.expires IS NULL OR r.expires > moment);
        GET DIAGNOSTICS gone = ROW_COUNT;
        copied := copied + gone;
        IF gone > 0 THEN
            INSERT INTO @.spaces (part, space, wide, name)
            VALUES (to_parts[i], to_spaces[i], false, to_names[i]) ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
    RETURN copied;
END
$body$
