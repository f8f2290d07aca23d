/* SPDX-License-Identifier: MIT */
/*
 * fork.pml - fork, its recovery and the end of its child (src/life) beside
 * whoever may meet the child: docs/design/fork.md, whose rows are named here.
 *
 * A parent P with two private VMAs of a page each, the first anonymous, the
 * second of an object; each page is in memory or in swap, and the first VMA may
 * be DONTCOPY. One fork fails at any of its steps or succeeds. If it fails the
 * child is taken down on the spot; its last user leaves at any time. Beside it,
 * each at any moment:
 *
 *   rmap      goes from a page, or from the object, through the VMAs and their
 *             tables (rmap/take.c): looks, takes the page to swap, or enters the
 *             space that it found by aspen_mm_get_live()
 *   swapoff   goes through the swap list (calls/swap/remove.c) and brings pages
 *             back
 *   registry  takes a user of a space that it finds there, and reaps it
 *             (life/oom.c, reap.c) or reads its maps. It may be the last user
 *
 * Properties, as assertions: nobody meets a tree that is not whole, a VMA that
 * is not or that was freed, a table or a space that was freed; a space behind
 * the gate is LIVE, one in the registry LIVE or DYING; a walk that takes a page
 * takes it from all; recovery and exit see the child's VMAs alone; once a fork
 * has failed no reverse map and no registry leads to the child; at the end all
 * is given back, once. And nobody waits for ever: invalid end states, and no
 * cycle at all (pan -l), so everybody gets to his end.
 *
 * Left out: memory order; the locks of VMAs (vma_lock.pml); TLBs and gathers; the
 * notifier bracket; the attempt that begins again; the child's own anon_vma; more
 * levels of tables than the top one and one below, whose lock is one for all
 * entries; exec; page locks and the swap cache: what comes back from swap is a
 * new page that nobody takes. Spin locks that protect one step are that step.
 *
 * Mistakes, each of which has to be found (tests/model/check.sh):
 *
 *   MARKER          Linux's old scheme: a failed fork leaves the child's VMAs in
 *                   the tree, with a marker where it ended; exit takes them down
 *   MARKER_HIDDEN   the same, in a state that the gate refuses
 *   REGISTRY_EARLY  the child enters the registry before it is whole, and leaves
 *                   it if the fork fails
 *   LINK_EARLY      a VMA is linked into the reverse map before its fields are set
 *   CHILD_FIRST     a child's VMA sorts before its parent's
 *   TABLES_FIRST    tables are freed before the VMAs are unlinked
 *   TREE_TO_THE_TOP recovery goes through the tree beyond `end`
 *   NO_GATE         swapoff takes no mmap lock
 *   NO_STATE        ... or takes it and does not look at the state
 *   NO_HOLD         swapoff takes no reference
 *   LOCKS_INSIDE    swapoff waits for the parent's mmap lock below the list's
 *   CHARGE_KEPT     the charge of the VMA that failed is kept
 *   PUT_TWICE       the reaper gives his user back twice
 */

/* Who is there beside the fork. */
#ifndef RMAP
#define RMAP 0
#endif
#ifndef SWAPOFF
#define SWAPOFF 0
#endif
#ifndef REGISTRY
#define REGISTRY 0
#endif

#if defined(MARKER) || defined(MARKER_HIDDEN)
#define OLD_SCHEME
#endif

#define P 0
#define C 1

/* ---- Spaces ---------------------------------------------------------------- */

bool mmap_write[2];
byte mmap_read[2];

/* The child's structure: enum aspen_mm_state, and before and after it. */
#define ABSENT 0
#define BUILDING 1
#define LIVE 2
#define DYING 3
#define EMPTY 4
#define GONE 5
byte state;
byte users;
byte references;
bool registered; /* in the registry */
bool swapped;    /* on the swap list; the parent always is */
bool swap_list_lock;

#define there (state != ABSENT && state != GONE)

/* The child's tree: by address, what it leads to. */
#define NONE 0
#define PARENTS 1
#define OWN 2
#define MARK 3
byte tree[2];

/* Memory of the child's VMAs. */
#define FREE 0
#define RAW 1
#define WHOLE 2
byte vma[2];

/* What it has got. */
byte charge;
byte opened;
byte objects;
bool dontcopy;

/* ---- Reverse maps: anon_vma of the first, of the second VMA; i_mmap --------- */

bool rmap_write[3];
byte rmap_read[3];
bool linked[3]; /* the child's; the parent's are */

/* ---- Page tables -------------------------------------------------------------- */

#define NOTHING 0
#define PAGE 1
#define SWAP 2
#define BACK 3
byte entry_p[2];
byte entry_c[2];
bool table_lock[2];
bool slot;         /* the child's top table leads to a table */
bool table_memory; /* which is not freed */
byte count[8];     /* entries of that kind for page i: count[kind * 2 + i] */

/* ---- Locks ---------------------------------------------------------------------- */

inline spin_lock(l)
{
    atomic { !l -> l = true }
}

inline read_lock(w, r)
{
    atomic { !w -> r++ }
}

inline write_lock(w, r)
{
    atomic { !w && r == 0 -> w = true }
}

/* ---- space/mm.c -------------------------------------------------------------------- */

/* aspen_mm_swap_list_add() */
inline swap_list_add()
{
    if
    :: swapped
    :: else ->
        spin_lock(swap_list_lock);
        d_step { assert(there); swapped = true; swap_list_lock = false }
    fi
}

/* aspen_mm_drop() */
inline mm_drop()
{
    d_step {
        assert(there && references > 0);
        references--;
        if
        :: references == 0 ->
            assert(state == EMPTY);
            assert(tree[0] == NONE && tree[1] == NONE);
            assert(!slot && !table_memory);
            assert(!registered && !swapped);
            assert(!mmap_write[C] && mmap_read[C] == 0);
            state = GONE
        :: else
        fi
    }
}

/* aspen_mm_get_live() */
inline get_live(passed)
{
#ifdef NO_GATE
    passed = true;
#else
    assert(there);
    read_lock(mmap_write[C], mmap_read[C]);
#ifdef NO_STATE
    passed = true;
#else
    passed = (state == LIVE || state == BUILDING);
#endif
    if
#ifdef MARKER
    :: passed
#else
    :: passed -> assert(state == LIVE) /* BUILDING is exec's alone */
#endif
    :: else -> mmap_read[C]--
    fi
#endif
}

inline leave_live(passed)
{
    passed = false;
#ifndef NO_GATE
    mmap_read[C]--
#endif
}

/* ---- Whoever walks through the child's tree ------------------------------------------ */

inline look_at_tree(k)
{
    assert(there);
    assert(tree[k] != MARK);    /* half-made memory */
    assert(tree[k] != PARENTS);
    assert(tree[k] == NONE || vma[k] == WHOLE)
}

/* space/zap.c: an entry goes, under its table's lock. */
inline zap(k)
{
    if
    :: slot ->
        atomic {
            !table_lock[C] ->
            assert(table_memory);
            if
            :: entry_c[k] != NOTHING ->
                assert(count[entry_c[k] * 2 + k] > 0);
                count[entry_c[k] * 2 + k]--;
                entry_c[k] = NOTHING
            :: else
            fi
        }
    :: else
    fi
}

/* ---- rmap/unmap.c --------------------------------------------------------------------- */

inline unlink(l)
{
    write_lock(rmap_write[l], rmap_read[l]);
    d_step { assert(linked[l]); linked[l] = false; rmap_write[l] = false }
}

/* aspen_free_page_tables(), aspen_gather_end() */
inline free_tables()
{
    if
    :: slot ->
        atomic { !table_lock[C] -> slot = false };
        d_step { assert(table_memory); table_memory = false }
    :: else
    fi
}

/* aspen_unmap_region(), aspen_tear_down_vmas() */
inline unmap(k, to)
{
    k = 0;
    do /* unmap_vmas() */
    :: k < to ->
        assert(tree[k] != PARENTS && tree[k] != MARK);
        if :: tree[k] == OWN -> zap(k) :: else fi;
        k++
    :: else -> break
    od;
#ifdef TABLES_FIRST
    free_tables();
#endif
    /* unlink_vmas() */
    if :: to > 0 && tree[0] == OWN -> unlink(0) :: else fi;
    if :: to > 1 && tree[1] == OWN -> unlink(1); unlink(2) :: else fi;
#ifndef TABLES_FIRST
    free_tables();
#endif
    k = 0;
    do /* tear_down_vma(): close, free, object, charge */
    :: k < to ->
        d_step {
            if
            :: tree[k] == OWN ->
                assert(vma[k] == WHOLE && opened > 0 && charge > 0);
                assert(k == 0 || objects > 0);
                opened--;
                vma[k] = FREE;
                objects = objects - k;
                charge--
            :: else
            fi;
            k++
        }
    :: else -> break
    od;
    k = 0
}

/* aspen_tree_destroy() */
inline tree_destroy()
{
    d_step { tree[0] = NONE; tree[1] = NONE }
}

/* ---- life/exit.c ------------------------------------------------------------------------ */

/* How far the child's tree is the child's. */
#ifdef OLD_SCHEME
#define tree_end (tree[0] == MARK -> 0 : (tree[1] == MARK -> 1 : 2))
#else
#define tree_end 2
#endif

inline take_down(k, to)
{
    write_lock(mmap_write[C], mmap_read[C]);
    state = DYING;
    to = tree_end;
    unmap(k, to);
    to = 0;
    tree_destroy();
    d_step { registered = false; state = EMPTY }; /* aspen_mm_unpublish() */
    mmap_write[C] = false
}

/* aspen_mm_put(), exit_mm() */
inline mm_put(k, to)
{
    d_step { assert(there && users > 0); users--; k = users };
    if
    :: k == 0 ->
        if
        :: state != EMPTY -> take_down(k, to)
        :: else
        fi;
        if
        :: swapped -> /* aspen_mm_swap_list_remove() */
            spin_lock(swap_list_lock);
            d_step { swapped = false; swap_list_lock = false }
        :: else
        fi;
        mm_drop() /* aspen_mm_leave() */
    :: else
    fi;
    k = 0
}

/* ---- life/copy_tables.c: row 16 ------------------------------------------------------------ */

inline copy_tables(i, error)
{
    if
    :: !slot -> /* child_table() */
        if
        :: error = true
        :: table_memory = true;
           slot = true
        fi
    :: else
    fi;
    if
    :: !error ->
        spin_lock(table_lock[C]); /* lock_both() */
        spin_lock(table_lock[P]);
        if
        :: entry_p[i] != NOTHING ->
            if
            :: error = true /* no frame for a pinned page, no continuation */
            :: count[entry_p[i] * 2 + i]++;
               if
               :: entry_p[i] == SWAP -> swap_list_add()
               :: else
               fi;
               entry_c[i] = entry_p[i]
            fi
        :: else
        fi;
        table_lock[P] = false;
        table_lock[C] = false
    :: else
    fi
}

/* ---- life/fork.c ------------------------------------------------------------------------------ */

/* aspen_anon_vma_fork(), aspen_i_mmap_insert() */
inline link(l)
{
    write_lock(rmap_write[l], rmap_read[l]);
    d_step { linked[l] = true; rmap_write[l] = false }
}

/* prepare_vma(): rows 8 to 13. */
inline prepare_vma(i, error)
{
    charge++;
    if
    :: error = true /* aspen_vma_copy() */
    :: vma[i] = RAW;
#ifdef LINK_EARLY
       link(i);
       vma[i] = WHOLE;
#else
       vma[i] = WHOLE;
       if
       :: error = true /* userfault, memory of the links */
       :: link(i)
       fi;
#endif
       if
       :: error -> vma[i] = FREE
       :: else ->
           if
           :: error = true; /* the object's open hook */
              unlink(i);
              vma[i] = FREE
           :: opened++
           fi
       fi
    fi;
#ifndef CHARGE_KEPT
    if :: error -> charge-- :: else fi
#endif
}

/* copy_vma(): rows 5 to 16. */
inline copy_vma(i, end, error)
{
    if
    :: error = true /* rows 5, 7 and 8: interrupts, charge */
    :: i == 0 && dontcopy -> tree[0] = NONE /* row 6 */
    :: !(i == 0 && dontcopy) ->
        prepare_vma(i, error);
        if
        :: !error ->
            d_step { tree[i] = OWN; end = i + 1 }; /* rows 14, 15 */
            if
            :: i == 1 -> objects++; link(2)
            :: else
            fi;
            copy_tables(i, error)
        :: else
        fi
    fi
}

/* aspen_fork_recover() */
inline recover(k, end)
{
#ifdef OLD_SCHEME
    if :: end < 2 -> tree[end] = MARK :: else fi;
#ifdef MARKER_HIDDEN
    state = DYING;
#endif
#else
#ifdef TREE_TO_THE_TOP
    end = 2;
#endif
    unmap(k, end);
    tree_destroy();
    state = EMPTY;
#endif
}

inline publish()
{
    d_step { state = LIVE; registered = true }
}

/* fork_locked(): rows 2 to 19. */
inline fork_locked(i, end, error)
{
    write_lock(mmap_write[C], mmap_read[C]);
    if
    :: error = true /* row 4 */
    :: d_step { tree[0] = PARENTS; tree[1] = PARENTS };
#ifdef REGISTRY_EARLY
       registered = true;
#endif
       do
       :: !error && i < 2 -> copy_vma(i, end, error); i++
       :: else -> break
       od;
       i = 0;
       if
       :: !error -> if :: error = true :: skip fi /* row 17 */
       :: else
       fi
    fi;
    if
    :: error ->
        recover(i, end);
#ifdef REGISTRY_EARLY
        registered = false
#endif
    :: else -> publish()
    fi;
    end = 0;
    mmap_write[C] = false;
    mmap_write[P] = false
}

/* aspen_fork(), try_fork(), and later the last put. */
proctype fork()
{
    byte i, end;
    bool error;

    if
    :: true -> skip /* row 0 fails: there is nothing */
    :: true ->
        d_step { state = BUILDING; users = 1; references = 1 };
        if
        :: true -> state = EMPTY; error = true /* row 1 */
        :: true ->
            write_lock(mmap_write[P], mmap_read[P]);
            fork_locked(i, end, error)
        fi;
#ifndef MARKER
        if
        :: error ->
            assert(!linked[0] && !linked[1] && !linked[2]);
            assert(!registered)
        :: else
        fi;
#endif
        error = false;
        mm_put(i, end)
    fi
}

/* ---- Reverse-map walker: rmap/rmap.c, take.c, object/i_mmap.c ------------------------------------ */

#define LOOK 0
#define TAKE 1
#define ENTER 2

/* take_entry(), to_swap_entry(); the table's lock is held. */
inline take_entry(s, e, i)
{
    if
    :: mode == TAKE && e == PAGE ->
        if :: s == C -> swap_list_add() :: else fi;
        d_step {
            assert(count[PAGE * 2 + i] > 0);
            count[SWAP * 2 + i]++;
            count[PAGE * 2 + i]--;
            e = SWAP
        }
    :: else
    fi
}

inline visit_parent(i)
{
    spin_lock(table_lock[P]);
    take_entry(P, entry_p[i], i);
    table_lock[P] = false
}

/* take_from() */
inline visit_child(l, i)
{
    if
    :: linked[l] ->
        d_step {
            assert(vma[i] == WHOLE);
            assert(there && state != EMPTY);
            if :: mode == ENTER -> references++; held = true :: else fi
        };
        found = slot; /* aspen_table_walk() */
        if
        :: found && mode != ENTER ->
            d_step { references++; held = true }; /* add_space() */
            spin_lock(table_lock[C]);
            assert(table_memory);
            take_entry(C, entry_c[i], i);
            assert(table_memory);
            table_lock[C] = false
        :: else
        fi;
        found = false
    :: else
    fi
}

proctype rmap_walker()
{
    byte l, mode;
    bool found, held;

    if :: l = 0 :: l = 1 :: l = 2 fi;
    if :: mode = LOOK :: mode = TAKE :: mode = ENTER fi;
    read_lock(rmap_write[l], rmap_read[l]);
#ifdef CHILD_FIRST
    visit_child(l, ((l + 1) / 2));
    visit_parent(((l + 1) / 2));
#else
    visit_parent(((l + 1) / 2));
    visit_child(l, ((l + 1) / 2));
#endif
    assert(mode != TAKE || count[PAGE * 2 + (l + 1) / 2] == 0);
    rmap_read[l]--;
    l = 0;
    if
    :: held && mode == ENTER ->
        get_live(found);
        if
        :: found ->
            look_at_tree(0);
            look_at_tree(1);
            leave_live(found)
        :: else
        fi
    :: else
    fi;
    mode = LOOK;
    if
    :: held -> held = false; mm_drop() /* aspen_take_flush() */
    :: else
    fi
}

/* ---- Swap-list walker: calls/swap/remove.c --------------------------------------------------------- */

/* try_entry(): a page comes back. */
inline bring_back(s, e, i)
{
    atomic {
        !table_lock[s] ->
        if
        :: e == SWAP ->
            assert(count[SWAP * 2 + i] > 0);
            count[SWAP * 2 + i]--;
            count[BACK * 2 + i]++;
            e = BACK
        :: else
        fi
    }
}

inline visit_space_of_child(passed)
{
    get_live(passed);
    if
    :: passed ->
        look_at_tree(0);
        look_at_tree(1);
        if
        :: slot ->
            assert(table_memory);
            bring_back(C, entry_c[0], 0);
            assert(table_memory);
            bring_back(C, entry_c[1], 1)
        :: else
        fi;
        leave_live(passed)
    :: else
    fi
}

proctype swapoff()
{
    byte rounds;
    bool passed;

    do
    :: rounds < 2 ->
        rounds++;
        spin_lock(swap_list_lock); /* next_space() */
        if
        :: swapped ->
            assert(there);
#ifndef NO_HOLD
            references++;
#endif
            swap_list_lock = false;
            visit_space_of_child(passed);
#ifndef NO_HOLD
            mm_drop()
#endif
        :: true ->
#ifdef LOCKS_INSIDE
            read_lock(mmap_write[P], mmap_read[P]);
            swap_list_lock = false;
#else
            swap_list_lock = false;
            read_lock(mmap_write[P], mmap_read[P]);
#endif
            bring_back(P, entry_p[0], 0);
            bring_back(P, entry_p[1], 1);
            mmap_read[P]--
        fi
    :: else -> break
    od
}

/* ---- Registry walker: life/oom.c, life/reap.c --------------------------------------------------------- */

inline reap(k)
{
    look_at_tree(k);
    zap(k)
}

proctype registry_walker()
{
    byte k, to;
    bool got;

    d_step { /* aspen_oom_select(), under the registry's lock */
        if
        :: registered ->
            assert(state == LIVE || state == DYING);
            if
            :: users > 0 -> users++; got = true
            :: else
            fi
        :: else
        fi
    };
    if
    :: got ->
        got = false;
        if
        :: true -> /* aspen_oom_reap(), which only tries the lock */
           if
           :: atomic { !mmap_write[C] -> mmap_read[C]++ };
              reap(0);
              reap(1);
              mmap_read[C]--
           :: mmap_write[C] -> skip
           fi
        :: true -> /* aspen_inspect_maps() */
           read_lock(mmap_write[C], mmap_read[C]);
           look_at_tree(0);
           look_at_tree(1);
           mmap_read[C]--
        fi;
        mm_put(k, to);
#ifdef PUT_TWICE
        mm_put(k, to);
#endif
    :: else
    fi
}

/* ---- Before and after ------------------------------------------------------------------------------------ */

inline begin(i)
{
    if
    :: entry_p[i] = PAGE
    :: entry_p[i] = SWAP
    fi;
    count[entry_p[i] * 2 + i] = 1
}

/* What is left is the parent's. */
inline all_given_back(i)
{
    assert(count[PAGE * 2 + i] == (entry_p[i] == PAGE));
    assert(count[SWAP * 2 + i] == (entry_p[i] == SWAP));
    assert(count[BACK * 2 + i] == (entry_p[i] == BACK));
    assert(vma[i] == FREE)
}

init
{
    atomic {
        begin(0);
        begin(1);
        if :: dontcopy = true :: skip fi;
        run fork();
#if RMAP
        run rmap_walker();
#endif
#if SWAPOFF
        run swapoff();
#endif
#if REGISTRY
        run registry_walker();
#endif
    };
    _nr_pr == 1;
    assert(state == ABSENT || state == GONE);
    assert(charge == 0 && opened == 0 && objects == 0);
    all_given_back(0);
    all_given_back(1)
}
