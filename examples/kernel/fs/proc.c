/* SPDX-License-Identifier: MIT */
/*
 * proc.c - /proc: nodes are made when somebody looks, text when they are
 * opened.
 *
 *     /proc/meminfo vmstat swaps mounts self pressure/memory
 *     /proc/PID/status maps smaps exe fd/N oom_score oom_score_adj
 *     /proc/aspen/counters validate fail
 */
#include "fs/file.h"
#include "mm/memory.h"
#include "mm/space.h"
#include "proc/process.h"
#include "sys/swap.h"

/* Ops of a file that has a text, and no more. */
#define SHOWS(function) (&(const struct node_ops){.show = function})

static struct node *
make_node(const struct made_up *kind, struct node *parent, uint64_t argument)
{
    struct node *node = node_create(kind->mode, kind->name);

    if (!node)
        return NULL;
    node->ops = kind->ops;
    node->argument = argument;
    node->parent = node_is(node, S_IFDIR) ? node_get(parent) : NULL;
    return node;
}

/* Of a directory that is a table. */
static struct node *
table_lookup(struct node *directory, const char *name)
{
    for (const struct made_up *kind = directory->ops->kinds; kind->name; kind++)
        if (strcmp(kind->name, name) == 0)
            return make_node(kind, directory, directory->argument);
    return NULL;
}

static bool
table_list(struct node *directory, uint64_t *place, char *name)
{
    const struct made_up *kind = directory->ops->kinds;

    for (uint64_t i = 0; kind->name; kind++, i++)
        if (i == *place)
            return format(name, NAME_BYTES_MAX, "%s", kind->name) > 0;
    return false;
}

#define TABLE(name)                                                            \
    (&(const struct node_ops){                                                 \
        .kinds = name, .lookup = table_lookup, .list = table_list})

static bool
parse_number(const char *name, uint64_t *number)
{
    for (*number = 0; *name; name++) {
        if (*name < '0' || *name > '9' || *number > 1u << 30)
            return false;
        *number = *number * 10 + (uint64_t)(*name - '0');
    }
    return true;
}

/* ---- The machine ------------------------------------------------------- */

struct amount {
    const char *name;
    uint64_t pages;
};

/* In Linux's units: kB, if there is one, or pages. */
static void
show_amounts(struct text *text, const struct amount *amounts, size_t count,
             const char *format, unsigned unit)
{
    for (size_t i = 0; i < count; i++)
        text_print(text, format, amounts[i].name, amounts[i].pages * unit);
}

static int
show_meminfo(struct node *node, struct text *text)
{
    struct aspen_counters c;

    (void)node;
    aspen_counters_read(machine, &c);
    const struct amount amounts[] = {
        {"MemTotal:", c.frames_total},
        {"MemFree:", c.frames_free},
        {"MemAvailable:", memory_available(&c)},
        {"Buffers:", 0},
        {"SwapCached:", c.swap_cached},
        {"Active(anon):", c.active_anon},
        {"Inactive(anon):", c.inactive_anon},
        {"Active(file):", c.active_file},
        {"Inactive(file):", c.inactive_file},
        {"Unevictable:", c.unevictable},
        {"SwapTotal:", c.swap_slots},
        {"SwapFree:", c.swap_slots - c.swap_slots_used},
        {"PageTables:", c.frames_table},
        {"KernelMemory:", c.frames_kinds[ASPEN_FRAMES_KERNEL]},
        {"CommitLimit:", c.commit_limit_pages},
        {"Committed_AS:", c.committed_pages},
    };
    show_amounts(text, amounts, LENGTH(amounts), "%-15s %8lu kB\n", 4);
    return 0;
}

static int
show_vmstat(struct node *node, struct text *text)
{
    struct aspen_counters c;

    (void)node;
    aspen_counters_read(machine, &c);
    const struct amount amounts[] = {
        {"pswpin", c.swapped_in},
        {"pswpout", c.swapped_out},
        {"pgsteal_kswapd", c.reclaimed_background},
        {"pgsteal_direct", c.reclaimed_direct},
        {"pgscan_kswapd", c.reclaim_looked_background},
        {"pgscan_direct", c.reclaim_looked_direct},
        {"workingset_refault", c.refaults},
        {"oom_kill", c.oom_kills},
    };
    show_amounts(text, amounts, LENGTH(amounts), "%s %lu\n", 1);
    return 0;
}

static int
show_swaps(struct node *node, struct text *text)
{
    (void)node;
    swap_show(text);
    return 0;
}

static int
show_pressure(struct node *node, struct text *text)
{
    (void)node;
    aspen_inspect_pressure(machine, text_sink, text);
    return 0;
}

static const struct made_up pressure_kinds[] = {
    {"memory", S_IFREG | 0444, SHOWS(show_pressure)},
    {NULL, 0, NULL},
};

static int
show_mounts(struct node *node, struct text *text)
{
    (void)node;
    text_print(text, "rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n");
    return 0;
}

/* ---- Aspen ------------------------------------------------------------- */

static int
show_counters(struct node *node, struct text *text)
{
    struct aspen_counters c;

    (void)node;
    aspen_port_rcu_barrier(); /* what waits for a grace period is gone */
    aspen_counters_read(machine, &c);
    text_print(text,
               "frames_total %lu\nframes_free %lu\nframes_table %lu\n"
               "tables_waiting %lu\nmms %lu\nmms_live %lu\nvmas %lu\n",
               c.frames_total, c.frames_free, c.frames_table, c.tables_waiting,
               c.mms, c.mms_live, c.vmas);
    text_print(text,
               "anon_vmas %lu\nanon_vma_links %lu\nobjects %lu\n"
               "tree_nodes %lu\ncommitted_pages %lu\ntlb_flushes %lu\n",
               c.anon_vmas, c.anon_vma_links, c.objects, c.tree_nodes,
               c.committed_pages, c.tlb_flushes);
    text_print(text,
               "frames_kernel %lu\nframes_device %lu\nframes_metadata %lu\n"
               "kernel_bytes %lu\n",
               c.frames_kinds[ASPEN_FRAMES_KERNEL],
               c.frames_kinds[ASPEN_FRAMES_DEVICE],
               c.frames_kinds[ASPEN_FRAMES_METADATA], memory_in_use());
    return 0;
}

/* No call may be under way: for whoever runs nothing else. */
static int
show_validate(struct node *node, struct text *text)
{
    struct aspen_finding finding;

    (void)node;
    aspen_port_rcu_barrier();
    int result = aspen_validate(machine, &finding);
    if (result > 0)
        text_print(text, "%s: %s\n", finding.check, finding.text);
    return result < 0 ? result : 0;
}

/* Of the last call that was to fail; then of the plan that holds now. */
static struct aspen_failpoint_counts call_counts;

static int
show_fail(struct node *node, struct text *text)
{
    struct aspen_failpoint_counts now;

    (void)node;
    aspen_failpoints_read(machine, &now);
    text_print(text, "crossings %lu\nfailed %lu\n",
               call_counts.crossings + now.crossings,
               call_counts.failed + now.failed);
    return 0;
}

/* For the next call of this thread alone: its own faults before and after do
 * not count. */
void
fail_call_begin(void)
{
    struct aspen_failpoint_plan plan = {ASPEN_FAIL_ONCE, current->fail_number,
                                        NULL, NULL};

    current->fail_number = 0;
    ASSERT(aspen_failpoints_set(machine, &plan) == 0);
}

void
fail_call_end(void)
{
    aspen_failpoints_read(machine, &call_counts);
    ASSERT(aspen_failpoints_set(machine, NULL) == 0);
}

/* "call N", "once N", "onward N", "count", "off". */
static long
write_fail(struct node *node, const char *line)
{
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_NEVER};
    char word[16] = {0}, number[16] = {0};
    size_t at = 0;

    (void)node;
    for (; line[at] > ' ' && at < sizeof(word) - 1; at++)
        word[at] = line[at];
    if (line[at] == ' ')
        line += at + 1;
    else
        line = "";
    for (at = 0; line[at] > ' ' && at < sizeof(number) - 1; at++)
        number[at] = line[at];
    if (!parse_number(number, &plan.number))
        return -EINVAL;
    call_counts = (struct aspen_failpoint_counts){0};
    if (strcmp(word, "call") == 0 && aspen_failpoints_available()) {
        current->fail_number = plan.number;
        return 0;
    }
    if (strcmp(word, "off") == 0)
        return aspen_failpoints_set(machine, NULL);
    if (strcmp(word, "once") == 0)
        plan.mode = ASPEN_FAIL_ONCE;
    else if (strcmp(word, "onward") == 0)
        plan.mode = ASPEN_FAIL_ONWARD;
    else if (strcmp(word, "count") != 0)
        return -EINVAL;
    return aspen_failpoints_set(machine, &plan);
}

static const struct node_ops fail_ops = {.show = show_fail,
                                         .write = write_fail};

static const struct made_up aspen_kinds[] = {
    {"counters", S_IFREG | 0444, SHOWS(show_counters)},
    {"validate", S_IFREG | 0444, SHOWS(show_validate)},
    {"fail", S_IFREG | 0644, &fail_ops},
    {NULL, 0, NULL},
};

/* ---- A process --------------------------------------------------------- */

/* Its space, with a user more, if it has one. */
static struct aspen_mm *
mm_of(const struct node *node)
{
    bool on = irq_lock(&process_lock);
    struct process *process = process_find((int)node->argument);
    struct aspen_mm *mm = process ? process->mm : NULL;

    if (mm && !aspen_mm_get_if_alive(mm))
        mm = NULL;
    irq_unlock(&process_lock, on);
    return mm;
}

static int
show_status(struct node *node, struct text *text)
{
    struct aspen_mm *mm = mm_of(node);
    struct aspen_mm_counters c;

    text_print(text, "Pid:\t%lu\n", node->argument);
    if (!mm)
        return 0;
    aspen_mm_counters_read(mm, &c);
    aspen_mm_put(mm);
    const struct amount amounts[] = {
        {"VmPeak:", c.peak_pages},    {"VmSize:", c.total_pages},
        {"VmLck:", c.locked_pages},   {"VmHWM:", c.peak_resident_pages},
        {"RssAnon:", c.anon_pages},   {"RssFile:", c.file_pages},
        {"RssShmem:", c.shmem_pages}, {"VmPTE:", c.page_tables},
        {"VmSwap:", c.swap_pages},
    };
    show_amounts(text, amounts, LENGTH(amounts), "%s\t%8lu kB\n", 4);
    return 0;
}

static int
show_space(struct node *node, struct text *text,
           __typeof__(aspen_inspect_maps) *inspect)
{
    struct aspen_mm *mm = mm_of(node);

    if (!mm)
        return 0;
    inspect(mm, text_sink, text);
    aspen_mm_put(mm);
    return 0;
}

static int
show_maps(struct node *node, struct text *text)
{
    return show_space(node, text, aspen_inspect_maps);
}

static int
show_smaps(struct node *node, struct text *text)
{
    return show_space(node, text, aspen_inspect_smaps);
}

/* From 0 to 2,000, in Linux's steps; all of memory is 1,333. */
static int
show_oom_score(struct node *node, struct text *text)
{
    struct aspen_mm *mm = mm_of(node);
    struct aspen_counters counters;
    int64_t badness = ASPEN_OOM_NEVER;

    aspen_counters_read(machine, &counters);
    if (mm) {
        badness = aspen_oom_badness(mm);
        aspen_mm_put(mm);
    }
    int64_t part = badness == ASPEN_OOM_NEVER
                       ? -1000
                       : badness * 1000 / (int64_t)counters.frames_total;
    text_print(text, "%ld\n", part < -1000 ? 0 : (part + 1000) * 2 / 3);
    return 0;
}

static int
show_oom_adjust(struct node *node, struct text *text)
{
    struct aspen_mm *mm = mm_of(node);

    text_print(text, "%d\n", mm ? aspen_oom_adjust(mm) : 0);
    if (mm)
        aspen_mm_put(mm);
    return 0;
}

static long
write_oom_adjust(struct node *node, const char *line)
{
    char number[8] = {0};
    bool less = *line == '-';
    uint64_t value;

    line += less;
    for (size_t at = 0; line[at] > ' ' && at < sizeof(number) - 1; at++)
        number[at] = line[at];
    if (!parse_number(number, &value) || value > ASPEN_OOM_ADJUST_MAX)
        return -EINVAL;
    struct aspen_mm *mm = mm_of(node);
    if (!mm)
        return -ESRCH;
    int error = aspen_oom_adjust_set(mm, less ? -(int)value : (int)value);
    aspen_mm_put(mm);
    return error;
}

static int
show_exe(struct node *node, struct text *text)
{
    bool on = irq_lock(&process_lock);
    struct process *process = process_find((int)node->argument);
    struct node *program =
        process && process->program ? node_get(process->program) : NULL;

    irq_unlock(&process_lock, on);
    if (!program)
        return -ENOENT;
    text_add(text, program->name, strlen(program->name));
    node_put(program);
    return 0;
}

/* Of the process that asks alone: its numbers may go at any time otherwise. */
static int
show_fd(struct node *node, struct text *text)
{
    struct file *file = files_get((int)node->argument);

    if (!file)
        return -ENOENT;
    text_add(text, file->node->name, strlen(file->node->name));
    file_put(file);
    return 0;
}

static struct node *
follow_fd(struct node *node)
{
    struct file *file = files_get((int)node->argument);
    struct node *target = file ? node_get(file->node) : NULL;

    file_put(file);
    return target;
}

static const struct node_ops fd_link_ops = {.show = show_fd,
                                            .follow = follow_fd};
static const struct made_up fd_kind = {"", S_IFLNK | 0777, &fd_link_ops};

static struct node *
fd_lookup(struct node *directory, const char *name)
{
    uint64_t number;

    if (!parse_number(name, &number) ||
        directory->argument != (uint64_t)current->process->id)
        return NULL;
    struct file *file = files_get((int)number);
    if (!file)
        return NULL;
    file_put(file);
    return make_node(&fd_kind, directory, number);
}

static bool
fd_list(struct node *directory, uint64_t *place, char *name)
{
    if (directory->argument != (uint64_t)current->process->id)
        return false;
    for (; *place < FILES_MAX; ++*place) {
        struct file *file = files_get((int)*place);
        file_put(file);
        if (file)
            return format(name, NAME_BYTES_MAX, "%d", (int)*place) > 0;
    }
    return false;
}

static const struct node_ops oom_adjust_ops = {.show = show_oom_adjust,
                                               .write = write_oom_adjust};
static const struct node_ops fd_ops = {.lookup = fd_lookup, .list = fd_list};

static const struct made_up process_kinds[] = {
    {"status", S_IFREG | 0444, SHOWS(show_status)},
    {"maps", S_IFREG | 0444, SHOWS(show_maps)},
    {"smaps", S_IFREG | 0444, SHOWS(show_smaps)},
    {"oom_score", S_IFREG | 0444, SHOWS(show_oom_score)},
    {"oom_score_adj", S_IFREG | 0644, &oom_adjust_ops},
    {"exe", S_IFLNK | 0777, SHOWS(show_exe)},
    {"fd", S_IFDIR | 0555, &fd_ops},
    {NULL, 0, NULL},
};

/* ---- The root ---------------------------------------------------------- */

static int
show_self(struct node *node, struct text *text)
{
    (void)node;
    text_print(text, "%d", current->process->id);
    return 0;
}

static const struct made_up root_kinds[] = {
    {"meminfo", S_IFREG | 0444, SHOWS(show_meminfo)},
    {"vmstat", S_IFREG | 0444, SHOWS(show_vmstat)},
    {"swaps", S_IFREG | 0444, SHOWS(show_swaps)},
    {"mounts", S_IFREG | 0444, SHOWS(show_mounts)},
    {"self", S_IFLNK | 0777, SHOWS(show_self)},
    {"pressure", S_IFDIR | 0555, TABLE(pressure_kinds)},
    {"aspen", S_IFDIR | 0555, TABLE(aspen_kinds)},
    {NULL, 0, NULL},
};

static struct node *
root_lookup(struct node *directory, const char *name)
{
    static const struct node_ops ops = {
        .kinds = process_kinds, .lookup = table_lookup, .list = table_list};
    static const struct made_up kind = {"process", S_IFDIR | 0555, &ops};
    uint64_t id;

    if (!parse_number(name, &id))
        return table_lookup(directory, name);
    bool on = irq_lock(&process_lock);
    bool lives = process_find((int)id);
    irq_unlock(&process_lock, on);
    return lives ? make_node(&kind, directory, id) : NULL;
}

static bool
root_list(struct node *directory, uint64_t *place, char *name)
{
    uint64_t first = LENGTH(root_kinds) - 1, found = UINT64_MAX;

    if (table_list(directory, place, name))
        return true;
    bool on = irq_lock(&process_lock);
    list_for_each(entry, &processes)
    {
        uint64_t id =
            (uint64_t)container_of(entry, struct process, all)->id + first;
        if (id >= *place)
            found = MIN(found, id);
    }
    irq_unlock(&process_lock, on);
    *place = found;
    format(name, NAME_BYTES_MAX, "%lu", found - first);
    return found != UINT64_MAX;
}

static const struct node_ops root_ops = {
    .kinds = root_kinds, .lookup = root_lookup, .list = root_list};

void
proc_init(void)
{
    struct path path;
    int error = tree_make(root_node, "proc", S_IFDIR | 0555, NULL);

    ASSERT(error == 0 || error == -EEXIST);
    ASSERT(path_walk(root_node, "proc", 0, &path) == 0);
    path.node->ops = &root_ops;
    node_put(path.node); /* the tree has it */
}
