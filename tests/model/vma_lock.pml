/* SPDX-License-Identifier: MIT */
/*
 * vma_lock.pml - the lock of a VMA (src/space/vma.c), its steps r1 to r4 and w1
 * to w5 as they stand there.
 *
 * Spaces A and B, whose VMAs come out of one store of type-stable memory.
 * Readers look up addresses of A by RCU, try the VMA, and fall back to the mmap
 * lock. Writers of A and of B map, change and unmap, up to OPS times under one
 * hold of the mmap lock. Everybody goes on for ever; sequences run from 1 to
 * SEQ_MAX and start again, so the search is over all there can be.
 *
 *   READERS, WRITERS  how many; writer 0 is A's, or both spaces' in turns when
 *                     he is alone
 *   ROUNDS            if set, how often each does his work: then there must be
 *                     no cycle (pan -l), so whoever begins gets through
 *
 * Properties, as assertions: no reader inside of a VMA that a writer has, that
 * is free, of another space, or elsewhere; no writer gets one that a reader is
 * inside of; the count of readers does not fall below 0; a reader of the tree
 * meets no node that was freed. Nobody waits for ever: invalid end states.
 *
 * Left out: memory order. Every step here is seen by all at once, in program
 * order (the explorer has the relaxed ones: tests/explore/memory); W4_FIRST and
 * NO_SEQUENCE are what the release of w4 and the acquire of r2 forbid. A VMA has
 * one address. The tree is one leaf, copied for each store. Killed waiters, and
 * what is done with a VMA. A reader leaves its RCU section as soon as it has read
 * the tree, earlier than the code does: it can find more, not less.
 *
 * Mistakes, each of which has to be found (tests/model/check.sh):
 *
 *   NO_SEQUENCE   r3 left out: no look at the sequence after the count
 *   NO_SPACE      r4 does not look at the VMA's mm
 *   NO_RANGE      r4 does not look at its addresses
 *   W4_FIRST      WRITER is cleared before the sequence is set
 *   NO_WAKE       the last reader out wakes nobody
 *   WAKES_UNSEEN  a waiter goes to sleep without a look under the bucket's lock
 *   FREE_OPEN     a free VMA does not have WRITER set
 *   NO_WAIT       w2 left out: the writer does not wait
 *   NO_RESTART    the sequence wraps and VMAs keep theirs
 *   NO_GRACE      a leaf is freed as soon as it is replaced
 *
 *   NO_LOOK       (PARTS) a reader in a part does not look for WRITER then
 *   NO_SCAN       (PARTS) a writer does not look into the parts
 *   STALE         (PARTS) I5 left out: memory becomes a VMA beside a reader that
 *                 names it
 *
 * and NO_HINT, without r1, which is none: r1 saves a locked operation, no more.
 *
 *   PARTS         if set, 1 or 2: readers are in so many parts of A, and counted
 *                 where those are taken; who reads A has seen that it is CROWDED
 */

#ifndef READERS
#define READERS 2
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef OPS
#define OPS 2
#endif
#ifndef VMAS
#define VMAS 1
#endif
#ifndef ADDRESSES
#define ADDRESSES 2
#endif
#ifndef SEQ_MAX
#define SEQ_MAX 3
#endif

#define A 1
#define B 2
#define WRITER 128
#define NONE 9
#define COUNTED 9 /* in lock_readers, and in no part */
#define NODES 2

/* ---- struct aspen_mm: mmap_lock, lock_sequence ------------------------- */

#ifdef PARTS
byte part[PARTS]; /* A's, which has the readers: 1 + the VMA; 0: nobody */
#endif

bool mmap_write[3];
byte mmap_read[3];
byte sequence[3];

/* ---- struct aspen_vma, VMAS of them ------------------------------------ */

byte lock_readers[VMAS];
byte lock_sequence[VMAS];
byte vma_mm[VMAS];    /* 0: NULL */
byte vma_start[VMAS];

/* Who is where, for the assertions alone. */
bool is_free[VMAS];
bool owned[VMAS];     /* a writer has it */
byte inside[VMAS];    /* readers */

/* aspen_port_wait_while(): a bucket for each VMA. */
bool bucket[VMAS];
bool asleep[VMAS];

/* ---- The trees: A's for readers, B's for its writer --------------------- */

byte root;
byte leaf_slot[NODES * 2];
bool leaf_dead[NODES];
byte leaf_waits[NODES]; /* readers that it waits for, a bit each */
byte in_rcu;            /* readers inside of a section, a bit each */
byte slot_b[2];

/* Memory that may be given out again. */
#define leaf_is_free(n) (leaf_dead[n] && leaf_waits[n] == 0)

#define slot_a(a) leaf_slot[root * 2 + (a)]

/* ---- aspen_port_wait_while() and aspen_port_wake_all(), ports/posix ------ */

inline bucket_lock(v)
{
    atomic { !bucket[v] -> bucket[v] = true }
}

/* in_a_part(): one after the other. Nobody reads B. */
inline scan(v, m, found)
{
    found = false;
#if defined(PARTS) && !defined(NO_SCAN)
    if
    :: m == A ->
        found = (part[0] == v + 1);
#if PARTS > 1
        if :: !found -> found = (part[1] == v + 1) :: else fi
#endif
    :: else
    fi
#endif
}

inline wait_for_readers(v, m, found)
{
    bucket_lock(v);
    do
    :: true ->
        scan(v, m, found);
        if
        :: found || lock_readers[v] != WRITER
        :: else -> break
        fi;
#ifdef WAKES_UNSEEN
        bucket[v] = false;
        asleep[v] = true;
#else
        atomic { asleep[v] = true; bucket[v] = false } /* pthread_cond_wait */
#endif
        atomic { !asleep[v] && !bucket[v] -> bucket[v] = true }
    od;
    found = false;
    bucket[v] = false
}

inline wake_all(v)
{
    bucket_lock(v);
    asleep[v] = false;
    bucket[v] = false
}

/* ---- vma.c: the lock ----------------------------------------------------- */

/* close_lock(): w1, w2 */
inline close_lock(v, m, seen, found)
{
    d_step { seen = lock_readers[v]; lock_readers[v] = seen | WRITER };
#ifndef NO_WAIT
    scan(v, m, found);
    if
    :: seen != 0 || found -> wait_for_readers(v, m, found)
    :: else
    fi;
#endif
    seen = 0
}

/* From here on nobody else is to be inside of it. */
inline own(v)
{
    assert(inside[v] == 0);
    owned[v] = true
}

/* aspen_vma_write_lock() */
inline write_lock(v, m, seen, found)
{
    if
    :: lock_sequence[v] == sequence[m] ->
        d_step { assert(inside[v] == 0); assert(owned[v]) }
    :: else ->
        close_lock(v, m, seen, found);
#ifdef W4_FIRST
        d_step { own(v); lock_readers[v] = 0 };
        lock_sequence[v] = sequence[m]
#else
        d_step { own(v); lock_sequence[v] = sequence[m] }; /* w3 */
        lock_readers[v] = 0                                /* w4 */
#endif
    fi
}

/* leave_reader() */
inline leave_reader(v, seen, where)
{
#ifdef PARTS
    if
    :: where != COUNTED ->
        part[where] = 0;
        seen = lock_readers[v];
        if :: seen & WRITER -> seen = WRITER + 1 :: else fi
    :: else ->
#endif
    d_step {
        assert((lock_readers[v] & ~WRITER) != 0);
        seen = lock_readers[v];
        lock_readers[v] = seen - 1
    }
#ifdef PARTS
    fi
#endif
    ;
#ifndef NO_WAKE
    if
    :: seen == WRITER + 1 -> wake_all(v)
    :: else
    fi;
#endif
    seen = 0
}

/* aspen_vma_alloc(), aspen_cache_alloc(): free memory, any. */
inline vma_alloc(v, m, found)
{
    atomic {
        if
        :: is_free[0] -> v = 0
#if VMAS > 1
        :: is_free[1] -> v = 1
#endif
        :: else -> v = NONE
        fi;
        if
        :: v != NONE -> is_free[v] = false; own(v)
        :: else
        fi
    };
    if
    :: v != NONE ->
#ifndef STALE
        scan(v, m, found);
        if :: found -> wait_for_readers(v, m, found) :: else fi;
#endif
        d_step { vma_start[v] = 0; vma_mm[v] = m }; /* clear_fields() */
        lock_sequence[v] = sequence[m];             /* open_lock() */
        lock_readers[v] = 0
    :: else
    fi
}

/* aspen_vma_free() */
inline vma_free(v, m, seen, found)
{
#ifndef FREE_OPEN
    d_step { seen = lock_readers[v]; lock_readers[v] = seen | WRITER };
    if /* counted, or not locked for writing */
    :: seen != 0 || lock_sequence[v] != sequence[m] ->
        scan(v, m, found);
        if
        :: seen != 0 || found -> wait_for_readers(v, m, found)
        :: else
        fi
    :: else
    fi;
    seen = 0;
#endif
    vma_mm[v] = 0;
    d_step { owned[v] = false; is_free[v] = true }
}

/* ---- The tree: a new leaf for each store ---------------------------------- */

inline tree_store(m, a, v, n)
{
    if
    :: m == B -> slot_b[a] = v
    :: m == A ->
        n = 1 - root;
        d_step {
            leaf_is_free(n) -> /* the reserve: waits for a grace period */
            leaf_dead[n] = false;
            leaf_slot[n * 2] = leaf_slot[root * 2];
            leaf_slot[n * 2 + 1] = leaf_slot[root * 2 + 1];
            leaf_slot[n * 2 + a] = v
        };
        d_step {
            root = n; /* published */
            n = 1 - n;
            leaf_dead[n] = true; /* aspen_port_rcu_defer() */
#ifdef NO_GRACE
            leaf_waits[n] = 0
#else
            leaf_waits[n] = in_rcu
#endif
        };
        n = 0
    fi
}

/* ---- mm.c ------------------------------------------------------------------ */

inline mm_write_lock(m)
{
    atomic { !mmap_write[m] && mmap_read[m] == 0 -> mmap_write[m] = true }
}

/* The VMAs of a space are its readers' again. */
inline disown(m)
{
    if :: vma_mm[0] == m -> owned[0] = false :: else fi;
#if VMAS > 1
    if :: vma_mm[1] == m -> owned[1] = false :: else fi
#endif
}

inline restart(v)
{
    if :: v != NONE -> lock_sequence[v] = 0 :: else fi
}

/* restart_sequence(): through the tree, a VMA at a time; they are unlocked by
 * that already. */
inline restart_sequence(m, v)
{
    v = (m == A -> slot_a(0) : slot_b[0]);
    d_step { if :: v != NONE -> owned[v] = false :: else fi; restart(v) };
    v = (m == A -> slot_a(1) : slot_b[1]);
    d_step { if :: v != NONE -> owned[v] = false :: else fi; restart(v) };
    v = 0
}

/* aspen_mm_write_unlock(): w5 */
inline mm_write_unlock(m, v)
{
    if
    :: sequence[m] == SEQ_MAX ->
#ifndef NO_RESTART
        restart_sequence(m, v);
#endif
        d_step { sequence[m] = 1; disown(m) }
    :: else ->
        d_step { sequence[m]++; disown(m) }
    fi;
    mmap_write[m] = false
}

/* ---- Who writes ------------------------------------------------------------- */

/* aspen_mmap(): all fields are set before the tree leads to it. */
inline map(m, a, v, n, found)
{
    vma_alloc(v, m, found);
    if
    :: v != NONE ->
        vma_start[v] = a;
        tree_store(m, a, v, n)
    :: else -> v = 0
    fi
}

/* aspen_munmap(): it leaves the tree and is freed under one hold (I3). */
inline unmap(m, a, v, n, seen, found)
{
    tree_store(m, a, NONE, n);
    vma_free(v, m, seen, found)
}

inline operate(m, a, v, n, seen, found)
{
    v = (m == A -> slot_a(a) : slot_b[a]);
    if
    :: v == NONE -> map(m, a, v, n, found)
    :: else ->
        write_lock(v, m, seen, found);
        if
        :: skip /* changes it, until w5 */
        :: unmap(m, a, v, n, seen, found)
        fi
    fi;
    v = 0
}

proctype writer(byte space)
{
    byte m, a, v, n, seen, ops;
    bool found;
#ifdef ROUNDS
    byte rounds;
#endif

end:
    do
#ifdef ROUNDS
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS -> rounds++;
#else
    :: true ->
#endif
        if
        :: space & A -> m = A
        :: space & B -> m = B
        fi;
        mm_write_lock(m);
        ops = 0;
        do
        :: ops < OPS ->
            ops++;
            if
            :: a = 0
#if ADDRESSES > 1
            :: a = 1
#endif
            fi;
            operate(m, a, v, n, seen, found)
        :: ops > 0 -> break
        od;
        ops = 0;
        a = 0;
        mm_write_unlock(m, v);
        m = 0
    od
}

/* ---- Who reads: aspen_vma_read_lock_at(), all in A ------------------------------ */

/* aspen_tree_load() in an RCU section */
inline tree_load(me, a, v, n)
{
    in_rcu = in_rcu | (1 << me);
    n = root;
    d_step {
        assert(!leaf_is_free(n));
        v = leaf_slot[n * 2 + a];
        n = 0
    };
    d_step {
        in_rcu = in_rcu & ~(1 << me);
        leaf_waits[0] = leaf_waits[0] & ~(1 << me);
        leaf_waits[1] = leaf_waits[1] & ~(1 << me)
    }
}

/* What a VMA has to be for whoever works in it. */
inline whole(v, a)
{
    assert(!owned[v]);
    assert(!is_free[v]);
    assert(vma_mm[v] == A);
    assert(vma_start[v] == a);
    assert(slot_a(a) == v)
}

/* read_trylock_at() */
inline read_trylock(me, a, v, n, seen, locked, where)
{
    locked = true;
    where = COUNTED;
#ifndef NO_HINT
    seen = lock_sequence[v];                                  /* r1 */
    if :: seen == sequence[A] -> locked = false :: else fi;
#endif
    if
    :: locked ->
#ifdef PARTS
        atomic { /* enter_part(), and a fence */
            if
            :: part[me % PARTS] == 0 ->
                part[me % PARTS] = v + 1;
                where = me % PARTS
            :: else
            fi
        };
#ifndef NO_LOOK
        if
        :: where != COUNTED && lock_readers[v] & WRITER ->
            leave_reader(v, seen, where);
            locked = false
        :: else
        fi;
#endif
#endif
        atomic { /* r2: count_reader(), which tries again until nobody else did */
            if
            :: where != COUNTED || !locked
            :: where == COUNTED && locked && lock_readers[v] & WRITER ->
                locked = false
            :: where == COUNTED && locked && !(lock_readers[v] & WRITER) ->
                lock_readers[v]++
            fi
        };
        if
        :: locked ->
#ifndef NO_SEQUENCE
            seen = lock_sequence[v];                          /* r3 */
            if :: seen == sequence[A] -> locked = false :: else fi;
#endif
#ifndef NO_SPACE
            if :: locked && vma_mm[v] != A -> locked = false  /* r4 */
            :: else fi;
#endif
#ifndef NO_RANGE
            if :: locked && vma_start[v] != a -> locked = false
            :: else fi;
#endif
            if
            :: !locked -> leave_reader(v, seen, where)
            :: else
            fi
        :: else
        fi
    :: else
    fi;
    seen = 0
}

/* By the mmap lock: aspen_fault() when nothing was found or got. */
inline read_slowly(a, v)
{
    atomic { !mmap_write[A] -> mmap_read[A]++ };
    d_step {
        v = slot_a(a);
        if :: v != NONE -> whole(v, a) :: else fi;
        v = 0
    };
    mmap_read[A]--
}

proctype reader(byte me)
{
    byte a, v, n, seen, where;
    bool locked;
#ifdef ROUNDS
    byte rounds;
#endif

end:
    do
#ifdef ROUNDS
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS -> rounds++;
#else
    :: true ->
#endif
        if
        :: a = 0
#if ADDRESSES > 1
        :: a = 1
#endif
        fi;
        tree_load(me, a, v, n);
        if
        :: v != NONE -> read_trylock(me, a, v, n, seen, locked, where)
        :: else
        fi;
        if
        :: locked ->
            d_step { inside[v]++; whole(v, a) };
            d_step { whole(v, a); inside[v]-- };
            leave_reader(v, seen, where); /* aspen_vma_read_unlock() */
            locked = false
        :: else -> read_slowly(a, v)
        fi;
        a = 0;
        v = 0;
        where = 0
    od
}

init
{
    byte i;

    atomic {
        sequence[A] = 1;
        sequence[B] = 1;
        for (i : 0 .. VMAS - 1) {
            is_free[i] = true;
#ifndef FREE_OPEN
            lock_readers[i] = WRITER
#endif
        }
        leaf_slot[0] = NONE;
        leaf_slot[1] = NONE;
        leaf_dead[1] = true;
        slot_b[0] = NONE;
        slot_b[1] = NONE;
#if WRITERS == 1
        run writer(A | B);
#else
        run writer(A);
        run writer(B);
#endif
        for (i : 1 .. READERS) {
            run reader(i - 1)
        }
        i = 0
    }
}
