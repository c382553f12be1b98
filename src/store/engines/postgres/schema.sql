-- What okmsd keeps in PostgreSQL. `okmsd store init` runs this as the schema's owner; `okmsd serve` changes rows only.
create schema okms;

create table okms.meta (
  name text primary key,
  value text not null
);

-- The numbers that stand for the names of spaces.
create table okms.space (
  id smallint primary key generated always as identity,
  name text not null unique
);

create table okms.record (
  space smallint not null,
  k bytea not null,
  rev bigint not null,
  v bytea not null,
  primary key (space, k)
) with (fillfactor = 85, toast_tuple_target = 512);
-- What is stored is encrypted and does not compress.
alter table okms.record alter column v set storage external;

-- Ranges of which all that is older than a revision is gone, though it is among the records still. It is removed from
-- there by and by, so that whoever removes much holds up nobody.
create table okms.cut (
  space smallint not null,
  first bytea not null,
  upto bytea not null,
  rev bigint not null,
  primary key (space, first, upto, rev)
);

-- The records that there are: whoever reads, reads these.
create view okms.live as select space, k, rev, v from okms.record r
  where not exists (select from okms.cut)
    or not exists (select from okms.cut c where c.space = r.space and c.first <= r.k and r.k < c.upto and r.rev < c.rev);

-- How many records one statement removes at the most.
create function okms.at_once() returns int language sql immutable as 'select 5000';

-- Removes up to `most` records of a range that are older than a revision. Tells how many, and where there may be more;
-- nothing where there is none.
create function okms.remove(of smallint, first bytea, upto bytea, before bigint, most int, out removed int, out rest bytea)
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  places tid[];
  keys bytea[];
begin
  select array_agg(f.at), array_agg(f.k) into places, keys
    from (select ctid at, k from okms.record
      where (space, k) >= (of, first) and (space, k) < (of, upto) and rev < before order by space, k limit most) f;
  -- One that was written anew meanwhile stays.
  delete from okms.record where ctid = any (places) and rev < before;
  removed := coalesce(cardinality(places), 0);
  if removed = most then
    rest := coalesce(keys[most] || '\x00'::bytea, first);
  end if;
end $$;

-- The end of the history: whoever writes holds this row until his commit is durable, so that commits have one order.
create table okms.head (
  one boolean primary key default true check (one),
  rev bigint not null,
  moment bigint,
  -- What was committed up to this is in the log no more.
  floor bigint not null
) with (fillfactor = 10);
insert into okms.head (rev, floor) values (65536, 65536);

-- What each commit has touched, for as long as somebody may be behind.
create table okms.log (
  rev bigint primary key,
  moment bigint,
  touched bytea not null,
  at timestamptz not null default clock_timestamp()
);
create index log_at on okms.log (at);
-- Whoever follows looks where the newest are.
alter table okms.log set (autovacuum_vacuum_scale_factor = 0.02);

-- What became of each group of batches, by the name that its writer gave it: the revision of each batch, 0 where it was
-- refused. One without any can never be committed.
create table okms.outcome (
  id uuid primary key,
  revs bigint[] not null,
  at timestamptz not null default clock_timestamp()
);
create index outcome_at on okms.outcome (at);

-- Who serves, and when he was last able to make something durable.
create table okms.process (
  id uuid primary key,
  about text not null,
  began timestamptz not null default clock_timestamp(),
  at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

-- Applies a group of batches, of which none touches what another one touches or asks about. Tells the revision of each;
-- 0 where a precondition does not hold, and nothing of that batch was done.
--
-- Each statement here has a snapshot of its own (the function is volatile, the isolation READ COMMITTED): once the head
-- is locked, all that was committed before is seen, and nothing else is committed until this is.
create function okms.commit(
  outcome_id uuid,
  salt bigint,
  present bigint,
  told bytea[],
  -- Preconditions: a record of this revision, or none where that is null; with `upto` nothing from the key to there.
  if_batch int[], if_space smallint[], if_key bytea[], if_rev bigint[], if_upto bytea[],
  -- Ranges that are removed, then records that are removed, then records that are written.
  cut_batch int[], cut_space smallint[], cut_from bytea[], cut_to bytea[],
  del_batch int[], del_space smallint[], del_key bytea[],
  -- The commit's revision is appended to the key of what is appended.
  put_batch int[], put_space smallint[], put_key bytea[], put_value bytea[], put_appended boolean[]
) returns bigint[] language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  begun okms.head;
  refused int[];
  revs bigint[];
  last bigint;
  room int := okms.at_once();
  removed int;
  rest bytea;
begin
  select * into strict begun from okms.head for update;

  select array_agg(distinct a.batch) into refused
    from unnest(if_batch, if_space, if_key, if_rev, if_upto) a (batch, space, k, rev, upto)
    left join okms.live r on a.upto is null and r.space = a.space and r.k = a.k
    where case when a.upto is null then r.rev is distinct from a.rev
      else exists (select from okms.live o where o.space = a.space and o.k >= a.k and o.k < a.upto) end;
  refused := coalesce(refused, '{}');

  select array_agg(g.r order by g.i), max(g.r) into revs, last
    from (select i, case when i = any (refused) then 0 else ((begun.rev >> 16) + i << 16) + salt end r
      from generate_series(1, cardinality(told)) i) g;

  if last > 0 then
    for i in 1 .. cardinality(cut_batch) loop
      if cut_batch[i] <> all (refused) then
        select r.removed, r.rest into removed, rest
          from okms.remove(cut_space[i], cut_from[i], cut_to[i], revs[cut_batch[i]], room) r;
        room := room - removed;
        if rest < cut_to[i] then
          insert into okms.cut (space, first, upto, rev) values (cut_space[i], rest, cut_to[i], revs[cut_batch[i]])
            on conflict do nothing;
        end if;
      end if;
    end loop;
    if cardinality(del_batch) > 0 then
      delete from okms.record r using unnest(del_batch, del_space, del_key) d (batch, space, k)
        where d.batch <> all (refused) and r.space = d.space and r.k = d.k;
    end if;
    insert into okms.record (space, k, rev, v)
      select p.space, case when p.appended then p.k || int8send(revs[p.batch]) else p.k end, revs[p.batch], p.v
      from unnest(put_batch, put_space, put_key, put_value, put_appended) p (batch, space, k, v, appended)
      where p.batch <> all (refused)
      on conflict (space, k) do update set rev = excluded.rev, v = excluded.v;
    insert into okms.log (rev, moment, touched)
      select revs[t.i], greatest(begun.moment, present), t.what
      from unnest(told) with ordinality t (what, i) where t.i <> all (refused);
    update okms.head set rev = last, moment = greatest(begun.moment, present);
  end if;
  -- Last: a writer who was told that this can never be committed has put his mark here, and all of it is undone.
  insert into okms.outcome (id, revs) values (outcome_id, revs);
  return revs;
end $$;

-- At most `most` keys from one up to another, in order. With a `cut`, what is told of a key with a separator behind its
-- first `cut` bytes is the key up to there, once.
create function okms.names(of smallint, first bytea, upto bytea, cut int, separator int, most int)
  returns setof bytea language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  at bytea := first;
  found_key bytea;
  length int;
begin
  while most > 0 loop
    select k into found_key from okms.live where (space, k) >= (of, at) and (space, k) < (of, upto) order by space, k limit 1;
    exit when found_key is null;
    most := most - 1;
    length := position(set_byte('\x00', 0, separator) in substring(found_key from cut + 1));
    if length > 0 then
      found_key := substring(found_key for cut + length);
      -- The least key that is greater than all that begin so: a separator is never the last byte there is.
      at := set_byte(found_key, cut + length - 1, separator + 1);
    else
      at := found_key || '\x00';
    end if;
    return next found_key;
  end loop;
end $$;

-- Removes some of what is gone and still among the records. Says whether there is more. It changes nothing that anybody
-- sees, and does not need the head for it.
create function okms.sweep() returns boolean language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  c okms.cut;
  next bytea;
begin
  -- Whoever commits goes first: he may hold a record of the range, and wait for another one.
  perform set_config('lock_timeout', '10ms', true);
  select * into c from okms.cut order by space, first, upto, rev limit 1 for update skip locked;
  if not found then
    return exists (select from okms.cut);
  end if;
  select rest into next from okms.remove(c.space, c.first, c.upto, c.rev, okms.at_once());
  delete from okms.cut where (space, first, upto, rev) = (c.space, c.first, c.upto, c.rev);
  if next < c.upto then
    -- From here on: what was removed is not walked over again.
    insert into okms.cut (space, first, upto, rev) values (c.space, next, c.upto, c.rev) on conflict do nothing;
  end if;
  return exists (select from okms.cut);
end $$;

-- Forgets what nobody asks about any more, some thousands at a time, so that nobody waits for the head for long. Says
-- whether there is more.
create function okms.forget(log_age interval, outcome_age interval) returns boolean
  language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  gone bigint;
  outcomes bigint;
  logged bigint;
begin
  delete from okms.outcome where id in (select id from okms.outcome where at < clock_timestamp() - outcome_age order by at limit 5000 for update skip locked);
  get diagnostics outcomes = row_count;
  delete from okms.process where at < clock_timestamp() - outcome_age;
  -- The head first, as everybody does who writes.
  perform from okms.head for update;
  with old as (delete from okms.log where rev in (select rev from okms.log where at < clock_timestamp() - log_age order by rev limit 5000) returning rev)
    select max(rev), count(*) into gone, logged from old;
  if gone is not null then
    update okms.head set floor = greatest(floor, gone);
  end if;
  return outcomes = 5000 or logged = 5000;
end $$;
