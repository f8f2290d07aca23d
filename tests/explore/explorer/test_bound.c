/* SPDX-License-Identifier: MIT */
/*
 * The search with a bound of preemptions, on small programs: it reaches all
 * that an enumeration of every schedule within the bound does, and what needs
 * two preemptions is found with two.
 */
#include "base/atomic.h"
#include "explore.h"
#include "serve.h"
#include <aspen_port.h>

static uint64_t words[3];

static void
clear(void *unused)
{
    (void)unused;
    memset(words, 0, sizeof(words));
}

static void
nothing(void *unused)
{
    (void)unused;
}

/* ---- Numbers that are known --------------------------------------------- */

static void
write_thrice(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        aspen_store(&words[0], 1u);
}

static void
write_own_thrice(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        aspen_store(&words[sim_task()], 1u);
}

static uint64_t
schedules(const struct sim_program *program, unsigned preemptions, bool every)
{
    struct sim_bounds bounds = {.preemptions = preemptions, .every = every};
    struct sim_result result;

    sim_explore_bounded(program, &bounds, 100000, &result);
    assert_true(result.complete);
    assert_int_equal(result.cut, 0);
    return result.schedules;
}

/* Two tasks of three steps: whose turn is first, after which of the first two
 * steps the other comes, and after which of its first two it goes back. */
static void
test_numbers(void **state)
{
    struct sim_program program = {
        clear, {write_thrice, write_thrice}, 2, nothing, NULL};
    (void)state;

    for (unsigned every = 0; every < 2; every++) {
        assert_int_equal(schedules(&program, 0, every), 2);
        assert_int_equal(schedules(&program, 1, every), 2 + 4);
        assert_int_equal(schedules(&program, 2, every), 2 + 4 + 8);
        assert_int_equal(schedules(&program, 9, every), 20); /* 6 over 3 */
    }
    program.task[0] = program.task[1] = write_own_thrice;
    assert_int_equal(schedules(&program, 2, true), 14);
    assert_int_equal(schedules(&program, 2, false), 1);
}

/* ---- What needs two ------------------------------------------------------ */

static void
one_then_two(void *unused)
{
    (void)unused;
    aspen_store(&words[0], 1u);
    aspen_store(&words[0], 2u);
}

static void
sees_both(void *unused)
{
    (void)unused;
    uint64_t first = aspen_load(&words[0]);
    if (first == 1 && aspen_load(&words[0]) == 2)
        sim_fail("both were seen");
}

static void
sees_one(void *unused)
{
    (void)unused;
    if (aspen_load(&words[0]) == 1)
        sim_fail("one was seen");
}

static void
test_needs_two(void **state)
{
    struct sim_program program = {
        clear, {one_then_two, sees_both}, 2, nothing, NULL};
    struct sim_bounds bounds = {.preemptions = 1};
    struct sim_result result, replayed;
    (void)state;

    sim_explore_bounded(&program, &bounds, 1000, &result);
    assert_true(result.complete);
    bounds.preemptions = 2;
    sim_explore_bounded(&program, &bounds, 1000, &result);
    assert_true(result.broken);
    assert_string_equal(result.what, "both were seen");
    sim_replay(&program, result.schedule, &replayed);
    assert_true(replayed.broken);
}

/* ---- Priorities ---------------------------------------------------------- */

static void
write_own_often(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 40; i++)
        aspen_store(&words[1 + sim_task()], 1u);
}

static void
late_one_then_two(void *unused)
{
    write_own_often(unused);
    one_then_two(unused);
    write_own_often(unused);
}

static void
late_sees_one(void *unused)
{
    sees_one(unused);
    write_own_often(unused);
}

/* One preemption at the one of 82 steps that it has to be at: two tasks (and a
 * third for deferred work) and a moment. */
static void
test_priorities(void **state)
{
    struct sim_program program = {
        clear, {late_one_then_two, late_sees_one}, 2, nothing, NULL};
    struct sim_result result, again;
    (void)state;

    sim_random_priorities(&program, 300, 1, 1, &result);
    assert_false(result.broken); /* without a moment it is not found */
    assert_int_equal(result.schedules, 300);
    sim_random_priorities(&program, 2000, 1, 2, &result);
    assert_true(result.broken);
    assert_string_equal(result.what, "one was seen");
    sim_replay(&program, result.schedule, &again);
    assert_true(again.broken);
    /* The same seed, the same order. */
    sim_random_priorities(&program, 2000, 1, 2, &again);
    assert_int_equal(again.schedules, result.schedules);
    assert_string_equal(again.schedule, result.schedule);
}

/* ---- A schedule becomes shorter ------------------------------------------ */

static unsigned shown;
static char shown_name[40];

static void
show(const struct sim_seen *step)
{
    assert_int_equal(step->address, &words[0]);
    assert_true(step->depth > 1);
    assert_string_equal(step->what, step->task ? "load" : "store");
    sim_name_of(step->address, shown_name, sizeof(shown_name));
    shown++;
}

static void
clear_with_name(void *unused)
{
    clear(unused);
    sim_name(words, sizeof(words), sizeof(words[0]), "word");
}

static void
test_shrunk(void **state)
{
    struct sim_program program = {
        clear_with_name, {one_then_two, sees_both}, 2, nothing, NULL};
    struct sim_result result, replayed;
    (void)state;

    sim_replay(&program, "0*1 1*1 0*1 1*1", &result);
    assert_true(result.broken);
    assert_int_equal(sim_switches(result.schedule), 3);
    sim_shrink(&program, 100, &result);
    assert_string_equal(result.schedule, "0*1 1*1 0*1 1*1"); /* the shortest */
    sim_replay_seen(&program, result.schedule, show, &replayed);
    assert_true(replayed.broken);
    assert_int_equal(shown, 4);
    assert_string_equal(shown_name, "word 0 + 0x0");

    program.task[0] = program.task[1] = write_thrice;
    program.task[2] = sees_one;
    program.tasks = 3;
    sim_replay(&program, "0*1 1*1 0*1 1*1 0*1 1*1 2*1", &result);
    assert_true(result.broken);
    sim_shrink(&program, 100, &result);
    assert_int_equal(sim_switches(result.schedule), 1);
}

/* ---- Programs by chance -------------------------------------------------- */

#define OPERATIONS 7u
#define SEEN       (SIM_TASKS * OPERATIONS)
#define CLASSES    (1u << 16)
#define FEW        6000u
#define ANY        99u

enum kind {
    LOAD,
    EXCHANGE,
    LOCK_SHARED,
    LOCK,
    TRY_LOCK,
    UNLOCK, /* whatever is locked */
    READER,
    READER_ENDS,
    SYNCHRONISE,
    DEFER,
    WAIT, /* until WAKE, which is in another task */
    WAKE,
};

struct operation {
    enum kind kind;
    unsigned word; /* or lock */
};

static struct by_chance {
    struct operation operations[SIM_TASKS][OPERATIONS];
    unsigned counts[SIM_TASKS];
    unsigned waker;
    struct aspen_port_rwlock locks[2];
    uint64_t taken[2]; /* plain: how often each of them was */
    bool awake;
    struct deferred {
        struct aspen_port_rcu_head head;
    } deferred;
    uint64_t next_value;
    uint64_t seen[SEEN]; /* what each operation saw of the others */
    uint64_t *classes;   /* of all runs, sorted at the end */
    size_t class_count;
} chance;

static void
chance_setup(void *unused)
{
    clear(unused);
    memset(chance.locks, 0, sizeof(chance.locks));
    memset(chance.taken, 0, sizeof(chance.taken));
    memset(chance.seen, 0, sizeof(chance.seen));
    chance.awake = false;
}

static void
add(unsigned task, enum kind kind, unsigned word)
{
    if (chance.counts[task] < OPERATIONS)
        chance.operations[task][chance.counts[task]++] =
            (struct operation){kind, word};
}

/* A piece of a task, which gives back what it takes: so that there is no
 * deadlock, it waits for nobody meanwhile. */
static void
make_piece(unsigned task, uint64_t *seed)
{
    unsigned word = (unsigned)unit_below(seed, 2);
    uint64_t lot = unit_below(seed, 12);
    enum kind access = unit_below(seed, 2) ? LOAD : EXCHANGE;

    if (chance.counts[task] + 3 > OPERATIONS - 1)
        return; /* one is left for WAKE */
    if (lot < 4) {
        add(task, access, (unsigned)unit_below(seed, 3));
    } else if (lot < 8) {
        add(task, lot < 6 ? LOCK : lot < 7 ? LOCK_SHARED : TRY_LOCK, word);
        add(task, access, (unsigned)unit_below(seed, 3));
        add(task, UNLOCK, word);
    } else if (lot < 10) {
        add(task, READER, 0);
        add(task, access, (unsigned)unit_below(seed, 3));
        add(task, READER_ENDS, 0);
    } else if (lot < 11) {
        add(task, task ? SYNCHRONISE : DEFER, 0);
    } else {
        add(task, task == chance.waker ? WAKE : WAIT, 0);
    }
}

static void
make_program(unsigned tasks, unsigned pieces, uint64_t *seed)
{
    bool defers = false;

    memset(chance.counts, 0, sizeof(chance.counts));
    chance.waker = (unsigned)unit_below(seed, tasks);
    for (unsigned i = 0; i < tasks; i++)
        for (unsigned j = 0; j < pieces; j++)
            make_piece(i, seed);
    /* Somebody wakes who waits; one thing is deferred once. */
    add(chance.waker, WAKE, 0);
    for (unsigned j = 0; j < chance.counts[0]; j++) {
        struct operation *operation = &chance.operations[0][j];
        if (operation->kind == DEFER && defers)
            *operation = (struct operation){EXCHANGE, 2};
        defers |= operation->kind == DEFER;
    }
}

static void
run_deferred(struct aspen_port_rcu_head *head)
{
    (void)head;
    aspen_exchange(&words[2], (uint64_t)77);
}

static bool
asleep(const void *unused)
{
    (void)unused;
    return !aspen_load(&chance.awake);
}

/* Values are told from each other by who wrote them, and when. */
static uint64_t
do_operation(struct operation operation, uint64_t value, unsigned *held)
{
    struct aspen_port_rwlock *lock = &chance.locks[operation.word % 2];
    uint64_t *taken = &chance.taken[operation.word % 2];

    switch (operation.kind) {
    case LOAD:
        return aspen_load(&words[operation.word]);
    case EXCHANGE:
        return aspen_exchange(&words[operation.word], value);
    case LOCK_SHARED:
        aspen_port_read_lock(lock);
        *held = 1;
        return *taken;
    case LOCK:
        aspen_port_write_lock(lock);
        *held = 2;
        return ++*taken;
    case TRY_LOCK:
        *held = aspen_port_write_trylock(lock) ? 2 : 0;
        return *held ? ++*taken : 0;
    case UNLOCK:
        if (*held == 1)
            aspen_port_read_unlock(lock);
        if (*held == 2)
            aspen_port_write_unlock(lock);
        return 0;
    case READER:
        aspen_port_rcu_read_lock();
        return 0;
    case READER_ENDS:
        aspen_port_rcu_read_unlock();
        return 0;
    case SYNCHRONISE:
        aspen_port_rcu_synchronise();
        return 0;
    case DEFER:
        aspen_port_rcu_defer(&chance.deferred.head, run_deferred);
        return 0;
    case WAIT:
        aspen_port_wait_while(&chance, asleep, NULL);
        return 0;
    case WAKE:
        aspen_store(&chance.awake, true);
        aspen_port_wake_all(&chance);
        return 0;
    }
    return 0;
}

static void
chance_task(void *unused)
{
    unsigned task = sim_task();
    unsigned held = 0;

    (void)unused;
    for (unsigned i = 0; i < chance.counts[task]; i++)
        chance.seen[task * OPERATIONS + i] = do_operation(
            chance.operations[task][i], task * OPERATIONS + i + 1, &held);
}

/* What the operations saw says in which order dependent ones were. */
static void
chance_check(void *unused)
{
    uint64_t class = 1;

    (void)unused;
    aspen_port_rcu_barrier();
    for (unsigned i = 0; i < SEEN; i++)
        class = (class ^ chance.seen[i]) * 0x9fb21c651e98df25u ^ class >> 29;
    for (unsigned i = 0; i < 3; i++)
        class = (class ^ words[i]) * 0x9fb21c651e98df25u ^ class >> 29;
    if (chance.class_count < CLASSES)
        chance.classes[chance.class_count++] = class;
}

static int
by_value(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one;
    uint64_t b = *(const uint64_t *)other;
    return a < b ? -1 : a > b;
}

/* The classes that a search of at most so many runs meets, each once, into
 * `classes`; 0: it has to be longer. */
static size_t
classes_of(const struct sim_program *program, const struct sim_bounds *bounds,
           uint64_t most, uint64_t *classes)
{
    struct sim_result result;
    size_t count = 0;

    chance.classes = classes;
    chance.class_count = 0;
    if (bounds)
        sim_explore_bounded(program, bounds, most, &result);
    else
        sim_explore(program, most, &result);
    if (result.broken)
        fail_msg("%s: %s", result.what, result.schedule);
    if (!result.complete)
        return 0;
    qsort(classes, chance.class_count, sizeof(*classes), by_value);
    for (size_t i = 0; i < chance.class_count; i++)
        if (i == 0 || classes[i] != classes[i - 1])
            classes[count++] = classes[i];
    return count;
}

static uint64_t all[CLASSES];
static uint64_t found[CLASSES];

static void
compare(const struct sim_program *program, const struct sim_bounds *bounds,
        size_t expected, uint64_t number)
{
    size_t count = classes_of(program, bounds, CLASSES, found);

    if (count != expected || memcmp(all, found, count * sizeof(*all)) != 0)
        fail_msg("program %llu, %u preemptions: %zu of %zu",
                 (unsigned long long)number, bounds ? bounds->preemptions : ANY,
                 count, expected);
}

/* The parts reach together what all does, and no run is in two of them. */
static void
compare_parts(const struct sim_program *program, unsigned preemptions,
              size_t expected, uint64_t number)
{
    struct sim_bounds bounds = {.preemptions = preemptions, .shards = 1};
    struct sim_result result;
    uint64_t runs = 0;

    compare(program, &bounds, expected, number);
    sim_explore_bounded(program, &bounds, CLASSES, &result);
    bounds.shards = 3;
    for (bounds.shard = 0; bounds.shard < 3; bounds.shard++) {
        struct sim_result part;
        sim_explore_bounded(program, &bounds, CLASSES, &part);
        assert_true(part.complete);
        runs += part.schedules;
    }
    assert_int_equal(runs, result.schedules);
}

/* Without a bound, where there are few enough. */
static void
compare_unbounded(const struct sim_program *program, uint64_t number)
{
    const struct sim_bounds bounds = {.preemptions = ANY, .every = true};
    size_t expected = classes_of(program, &bounds, FEW, all);

    if (expected)
        compare(program, NULL, expected, number);
}

static void
compare_program(uint64_t number)
{
    uint64_t seed = number;
    unsigned tasks = 2 + (unsigned)unit_below(&seed, 2);
    struct sim_program program = {
        .setup = chance_setup, .tasks = tasks, .check = chance_check};
    size_t expected = 0;

    for (unsigned i = 0; i < tasks; i++)
        program.task[i] = chance_task;
    make_program(tasks, tasks == 2 ? 3 : 2, &seed);
    compare_unbounded(&program, number);
    for (unsigned k = 0; k < 3; k++) {
        struct sim_bounds bounds = {.preemptions = k, .every = true};
        expected = classes_of(&program, &bounds, CLASSES, all);
        if (!expected)
            return; /* too many */
        bounds.every = false;
        compare(&program, &bounds, expected, number);
        compare_parts(&program, k, expected, number);
    }
}

static void
test_by_chance(void **state)
{
    uint64_t first = unit_seed("../explore/test_bound", 1);
    uint64_t count = unit_rounds(200);
    (void)state;

    for (uint64_t i = 0; i < count; i++)
        compare_program(first + i);
}

int
main(void)
{
    if (serve_is_wanted())
        return 0; /* these are about the explorer */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),    cmocka_unit_test(test_needs_two),
        cmocka_unit_test(test_priorities), cmocka_unit_test(test_shrunk),
        cmocka_unit_test(test_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
