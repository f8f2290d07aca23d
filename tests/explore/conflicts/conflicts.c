/* SPDX-License-Identifier: MIT */
/*
 * conflicts.c - the conflict matrix: two calls, made from the same state by two
 * CPUs, and the cache lines that one of them writes and the other touches.
 *
 * Calls that commute need none (the scalable commutativity rule, Clements et
 * al. 2013): what is shared then is what keeps them from running at once. Each
 * has made its call once before, elsewhere, so that its CPU's caches are warm.
 */
#include "calls.h"
#include "costs.h"
#include "names.h"

#include "internal.h"
#include <getopt.h>

#define FRAMES    2048u
#define BASE      (4 * GIB)
#define WARM      (512 * GIB)
#define MOST      64u
#define NAME_SIZE 64u

static const struct relation {
    const char *name;
    const char *key;
} relations[] = {
    {"different spaces", "spaces"},
    {"one space, different VMAs", "vmas"},
    {"one VMA, different page tables", "tables"},
    {"one page table, different pages", "pages"},
    {"the same page", "page"},
};
enum { SPACES, VMAS, TABLES, PAGES, SAME_PAGE, RELATIONS };

struct cell {
    const struct call *calls[2];
    unsigned relation;
    bool commutes;
    unsigned lines;
    unsigned field_count;
    char fields[MOST][2 * NAME_SIZE + 8];
};

static struct {
    struct aspen *aspen;
    struct cell *cell;
    struct aspen_mm *spaces[2];
    struct aspen_object *files[2];
    struct side sides[2];
    struct side warm[2];
} scene;

/* ---- One cell ---------------------------------------------------------- */

static int
read_nothing(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    (void)page;
    return 0;
}

static const struct aspen_pager_ops pager = {.read = read_nothing};

static void
place(unsigned task)
{
    struct side *side = &scene.sides[task];
    unsigned relation = scene.cell->relation;
    static const uint64_t pages[RELATIONS] = {0, 0, 2 * MIB / PAGE, 64, 0};

    *side = (struct side){
        .mm = scene.spaces[relation == SPACES ? task : 0],
        .region = BASE + (relation == VMAS ? task * GIB : 0),
        .file = scene.files[relation == SPACES || relation == VMAS ? task : 0],
    };
    side->page = side->region + 16 * PAGE + task * pages[relation] * PAGE;
    scene.warm[task] = *side;
    scene.warm[task].region = BASE + WARM + task * 8 * GIB;
    scene.warm[task].page = scene.warm[task].region + 16 * PAGE;
}

static void
prepare(unsigned task)
{
    const struct call *call = scene.cell->calls[task];
    struct side *sides[] = {&scene.warm[task], &scene.sides[task]};

    for (unsigned i = 0; i < 2; i++) {
        bool there =
            sides[i] == &scene.sides[1] && scene.cell->relation >= TABLES;
        if (call->map && !there)
            call->map(sides[i]);
        if (call->fill)
            call->fill(sides[i]);
    }
}

/* Each CPU runs the space that it works in. */
static void
run_on_cpus(bool on)
{
    for (unsigned i = 0; i < 2; i++)
        must(on ? aspen_mm_activate(scene.sides[i].mm, i)
                : aspen_mm_deactivate(scene.sides[i].mm, i));
}

static void
setup(void *unused)
{
    struct aspen_object_args args = {.size_bytes = REGION, .pager = &pager};

    (void)unused;
    memset(scene.spaces, 0, sizeof(scene.spaces));
    scene.aspen = explore_machine(NULL, FRAMES);
    for (unsigned i = 0; i < 2; i++) {
        must(aspen_mm_create(scene.aspen, &scene.spaces[i]));
        must(aspen_object_create(scene.aspen, &args, &scene.files[i]));
    }
    for (unsigned i = 0; i < 2; i++)
        place(i);
    run_on_cpus(true);
    names_learn(NULL);
    sim_record_begin();
}

static void
task(void *unused)
{
    const struct call *call = scene.cell->calls[sim_task()];

    (void)unused;
    prepare(sim_task()); /* by its own CPU: its frames are its own */
    call->make(&scene.warm[sim_task()]);
    names_learn_space(scene.sides[sim_task()].mm);
    sim_record(true);
    call->make(&scene.sides[sim_task()]);
    sim_record(false);
}

static void
add_field(struct cell *cell, const char *name)
{
    for (unsigned i = 0; i < cell->field_count; i++)
        if (!strcmp(cell->fields[i], name))
            return;
    if (cell->field_count < MOST)
        snprintf(cell->fields[cell->field_count++], 2 * NAME_SIZE + 8, "%s",
                 name);
}

static void
note_conflicts(struct cell *cell)
{
    struct sim_conflict conflicts[MOST];
    unsigned count = sim_conflicts(conflicts, MOST);

    cell->lines = cell->field_count = 0;
    for (unsigned i = 0; i < count; i++) {
        char names[2][NAME_SIZE];
        char both[2 * NAME_SIZE + 8];
        for (unsigned side = 0; side < 2; side++)
            names_of(conflicts[i].address[side], names[side], NAME_SIZE);
        if (call_is_for_tests(names[0]) || call_is_for_tests(names[1]))
            continue;
        cell->lines++;
        if (!strcmp(names[0], names[1])) {
            add_field(cell, names[0]);
            continue;
        }
        snprintf(both, sizeof(both), "%s beside %s", names[0], names[1]);
        add_field(cell, both);
    }
}

static void
put_children(struct side *side)
{
    while (side->child_count)
        aspen_mm_put(side->children[--side->child_count]);
}

static void
check(void *unused)
{
    (void)unused;
    names_learn(scene.aspen);
    for (unsigned i = 0; i < 2; i++)
        names_learn_space(scene.spaces[i]);
    note_conflicts(scene.cell);
    for (unsigned i = 0; i < 2; i++) {
        put_children(&scene.sides[i]);
        put_children(&scene.warm[i]);
    }
    run_on_cpus(false);
    for (unsigned i = 0; i < 2; i++)
        aspen_mm_put(scene.spaces[i]);
    for (unsigned i = 0; i < 2; i++)
        aspen_object_put(scene.files[i]);
    explore_machine_end(scene.aspen);
}

/* ---- The matrix -------------------------------------------------------- */

/* Whether the two make sense there. */
static bool
there_is(const struct call *one, const struct call *other, unsigned relation)
{
    return relation < TABLES ||
           (!one->whole && !other->whole && one->map == other->map);
}

/* Neither can tell whether the other came first. */
static bool
commute(const struct call *one, const struct call *other, unsigned relation)
{
    if (relation == SPACES)
        return true;
    return relation < SAME_PAGE && !one->of_space && !other->of_space;
}

static bool
measure(struct cell *cell)
{
    static struct sim_result result;
    const struct sim_program program = {setup, {task, task}, 2, check, NULL};

    scene.cell = cell;
    sim_explore(&program, 1, &result);
    if (result.broken)
        fprintf(stderr, "conflicts: %s beside %s, %s: %s\n",
                cell->calls[0]->name, cell->calls[1]->name,
                relations[cell->relation].name, result.what);
    return !result.broken;
}

/* ---- Output ------------------------------------------------------------ */

/* Of pairs that commute: how many there are, and share nothing. */
struct total {
    unsigned pairs;
    unsigned without;
};

/* A field that pairs share, and how many of these commute. */
static struct shared {
    char name[2 * NAME_SIZE + 8];
    unsigned pairs;
} shared[512];
static unsigned shared_count;

static void
count_field(const char *name)
{
    unsigned i = 0;

    while (i < shared_count && strcmp(shared[i].name, name))
        i++;
    if (i == sizeof(shared) / sizeof(shared[0]))
        return;
    if (i == shared_count)
        snprintf(shared[shared_count++].name, sizeof(shared[i].name), "%s",
                 name);
    shared[i].pairs++;
}

static void
count(struct total *total, const struct cell *cell)
{
    if (!cell->commutes)
        return;
    total->pairs++;
    total->without += !cell->lines;
    for (unsigned i = 0; i < cell->field_count; i++)
        count_field(cell->fields[i]);
}

static int
by_pairs(const void *left, const void *right)
{
    const struct shared *a = left, *b = right;

    return a->pairs != b->pairs ? (a->pairs < b->pairs ? 1 : -1)
                                : strcmp(a->name, b->name);
}

static void
print_shared(void)
{
    qsort(shared, shared_count, sizeof(shared[0]), by_pairs);
    printf("shared by pairs that commute\n");
    for (unsigned i = 0; i < shared_count; i++)
        printf("  %4u  %s\n", shared[i].pairs, shared[i].name);
}

static void
print_cell(const struct cell *cell)
{
    printf("  %-17s %-17s %3u%s", cell->calls[0]->name, cell->calls[1]->name,
           cell->lines, cell->commutes ? "" : " *");
    for (unsigned i = 0; i < cell->field_count; i++)
        printf("%s%s", i ? ", " : "  ", cell->fields[i]);
    printf("\n");
}

static void
print_json(const struct cell *cell, bool first)
{
    printf("%s{\"a\":\"%s\",\"b\":\"%s\",\"relation\":\"%s\",\"commute\":%s,"
           "\"lines\":%u,\"fields\":[",
           first ? "" : ",", cell->calls[0]->name, cell->calls[1]->name,
           relations[cell->relation].key, cell->commutes ? "true" : "false",
           cell->lines);
    for (unsigned i = 0; i < cell->field_count; i++)
        printf("%s\"%s\"", i ? "," : "", cell->fields[i]);
    printf("]}");
}

enum form { SUMMARY, ALL_CELLS, JSON };

static bool
measure_relation(unsigned relation, enum form form, struct total *all)
{
    static struct cell cell;
    struct total total = {0};
    bool first = relation == 0;

    if (form == ALL_CELLS)
        printf("%s\n", relations[relation].name);
    for (unsigned a = 0; a < call_count; a++)
        for (unsigned b = a; b < call_count; b++) {
            if (!there_is(&calls[a], &calls[b], relation))
                continue;
            cell.calls[0] = &calls[a];
            cell.calls[1] = &calls[b];
            cell.relation = relation;
            cell.commutes = commute(&calls[a], &calls[b], relation);
            if (!measure(&cell))
                return false;
            count(&total, &cell);
            if (form == JSON)
                print_json(&cell, first);
            else if (form == ALL_CELLS)
                print_cell(&cell);
            first = false;
        }
    if (form == SUMMARY && total.pairs)
        printf("%-34s %3u of %3u pairs share no line\n",
               relations[relation].name, total.without, total.pairs);
    all->pairs += total.pairs;
    all->without += total.without;
    return true;
}

static const char usage[] =
    "usage: aspen-conflicts [--all | --json] [--bar N]\n"
    "       aspen-conflicts --costs [--all | --json]\n"
    "\n"
    "Which cache lines two calls of two CPUs share, where one writes: by the\n"
    "instrumented core, in every relation that the two can have.\n"
    "\n"
    "  --all    each pair; those with a star do not commute. Of costs, each "
    "field\n"
    "  --json   "
    "{\"schema\":\"aspen.conflicts/1\",\"cells\":[...],\"pairs\":N,\n"
    "           \"free\":N}: of those that commute, and that share no line\n"
    "  --bar N  fail if fewer than N pairs that commute share none\n"
    "  --costs  instead, of calls alone: how many instructions a processor "
    "locks,\n"
    "           how many cache lines it writes, and touches\n"
    "  --help   print this\n"
    "\n"
    "Exit status: 0 measured, 1 below the bar, 2 usage.\n";

static int
print_usage(bool asked)
{
    fputs(usage, asked ? stdout : stderr);
    return asked ? 0 : 2;
}

/* A number and nothing else. */
static bool
read_number(const char *text, unsigned *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *number = (unsigned)value;
    return *text >= '0' && *text <= '9' && !*end && value < 100000;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'},
        {"json", no_argument, NULL, 'j'},
        {"bar", required_argument, NULL, 'b'},
        {"costs", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {0}};
    struct total all = {0};
    enum form form = SUMMARY;
    unsigned bar = 0;
    bool costs = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a' || option == 'j') {
            form = option == 'a' ? ALL_CELLS : JSON;
        } else if (option == 'c') {
            costs = true;
        } else if (option != 'b') {
            return print_usage(option == 'h');
        } else if (!read_number(optarg, &bar)) {
            fprintf(stderr, "aspen-conflicts: --bar %s: not a number\n",
                    optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "aspen-conflicts: %s: what is that?\n", argv[optind]);
        return print_usage(false);
    }
    if (costs && bar) {
        fputs("aspen-conflicts: --costs has no --bar\n", stderr);
        return 2;
    }
    if (costs)
        return costs_print(form == JSON, form == ALL_CELLS);
    if (form == JSON)
        printf("{\"schema\":\"aspen.conflicts/1\",\"cells\":[");
    for (unsigned relation = 0; relation < RELATIONS; relation++)
        if (!measure_relation(relation, form, &all))
            return 1;
    if (form == JSON) {
        printf("],\"pairs\":%u,\"free\":%u}\n", all.pairs, all.without);
    } else {
        if (form == SUMMARY)
            print_shared();
        printf("%u pairs commute, %u of them share no line (%u %%)\n",
               all.pairs, all.without, all.without * 100 / all.pairs);
    }
    if (all.without < bar)
        fprintf(stderr, "aspen-conflicts: %u share none, not %u\n", all.without,
                bar);
    return all.without < bar;
}
