/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _GNU_SOURCE
#include "helper.h"

#include "space/vma.h"
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- A machine --------------------------------------------------------- */

void
helper_create(struct helper *helper, const struct aspen_config *config)
{
    struct aspen_config filled;

    if (config)
        filled = *config;
    else
        aspen_config_init(&filled);
    if (filled.frames == 0)
        filled.frames = 4096;
    helper->direct_map_bytes = filled.frames * PAGE;
    helper->direct_map =
        mmap(NULL, helper->direct_map_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(helper->direct_map != MAP_FAILED);
    filled.direct_map = helper->direct_map;
    assert_int_equal(aspen_create(&filled, &helper->aspen), 0);
}

static void
assert_nothing_left(struct helper *helper)
{
    struct aspen_counters c;

    aspen_port_rcu_barrier();
    aspen_counters_read(helper->aspen, &c);
    assert_int_equal(c.mms, 0);
    assert_int_equal(c.mms_live, 0);
    assert_int_equal(c.mms_swap_list, 0);
    assert_int_equal(c.vmas, 0);
    assert_int_equal(c.anon_vmas, 0);
    assert_int_equal(c.anon_vma_links, 0);
    assert_int_equal(c.objects, 0);
    assert_int_equal(c.tree_nodes, 0);
    assert_int_equal(c.committed_pages, 0);
    assert_int_equal(c.swap_references, 0);
    assert_int_equal(c.swap_continuations, 0);
    assert_int_equal(c.frames_table, 0);
    assert_int_equal(c.frames_free + c.tables_waiting, c.frames_total - 1);
}

void
helper_destroy(struct helper *helper)
{
    assert_nothing_left(helper);
    assert_int_equal(aspen_destroy(helper->aspen), 0);
    assert_int_equal(munmap(helper->direct_map, helper->direct_map_bytes), 0);
}

struct aspen_mm *
helper_mm(struct helper *helper)
{
    struct aspen_mm *mm;

    assert_int_equal(aspen_mm_create(helper->aspen, &mm), 0);
    return mm;
}

/* ---- A machine with one space ------------------------------------------ */

void
helper_space_create(struct helper_space *s, const struct aspen_config *config)
{
    helper_create(&s->helper, config);
    s->mm = helper_mm(&s->helper);
}

void
helper_space_destroy(struct helper_space *s)
{
    helper_assert_valid(&s->helper);
    aspen_mm_put(s->mm);
    helper_destroy(&s->helper);
}

int
helper_space_setup_with(void **state, const struct aspen_config *config)
{
    struct helper_space *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    helper_space_create(s, config);
    *state = s;
    return 0;
}

int
helper_space_setup(void **state)
{
    return helper_space_setup_with(state, NULL);
}

int
helper_space_setup_6_18(void **state)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    return helper_space_setup_with(state, &config);
}

int
helper_space_teardown(void **state)
{
    helper_space_destroy(*state);
    free(*state);
    return 0;
}

/* ---- A processor ------------------------------------------------------- */

int
helper_access(struct aspen_mm *mm, uint64_t address, unsigned access,
              uint32_t *frame)
{
    while (aspen_translate(mm, address, access, frame)) {
        int error = aspen_fault(mm, address, access);
        if (error)
            return error;
    }
    return 0;
}

/* The bytes of one page, as far as the access goes. */
static size_t
piece_of(uint64_t address, size_t length)
{
    size_t rest = (size_t)(PAGE - address % PAGE);
    return rest < length ? rest : length;
}

static char *
pointer_to(struct helper *helper, uint32_t frame, uint64_t address)
{
    return (char *)helper->direct_map + frame * PAGE + address % PAGE;
}

int
helper_read(struct helper *helper, struct aspen_mm *mm, uint64_t address,
            void *bytes, size_t length)
{
    for (size_t done = 0, piece; done < length; done += piece) {
        uint32_t frame;
        int error =
            helper_access(mm, address + done, ASPEN_ACCESS_READ, &frame);
        if (error)
            return error;
        piece = piece_of(address + done, length - done);
        memcpy((char *)bytes + done, pointer_to(helper, frame, address + done),
               piece);
    }
    return 0;
}

int
helper_write(struct helper *helper, struct aspen_mm *mm, uint64_t address,
             const void *bytes, size_t length)
{
    for (size_t done = 0, piece; done < length; done += piece) {
        uint32_t frame;
        int error =
            helper_access(mm, address + done, ASPEN_ACCESS_WRITE, &frame);
        if (error)
            return error;
        piece = piece_of(address + done, length - done);
        memcpy(pointer_to(helper, frame, address + done),
               (const char *)bytes + done, piece);
    }
    return 0;
}

uint8_t
helper_get(struct helper *helper, struct aspen_mm *mm, uint64_t address)
{
    uint8_t byte;

    assert_int_equal(helper_read(helper, mm, address, &byte, 1), 0);
    return byte;
}

void
helper_put(struct helper *helper, struct aspen_mm *mm, uint64_t address,
           uint8_t byte)
{
    assert_int_equal(helper_write(helper, mm, address, &byte, 1), 0);
}

/* ---- Mappings ---------------------------------------------------------- */

uint64_t
helper_map_object(struct aspen_mm *mm, uint64_t address, uint64_t pages,
                  uint64_t vm_flags, struct aspen_object *object,
                  uint64_t pgoff)
{
    struct aspen_mmap_args args = {
        .address = address,
        .length_bytes = pages * PAGE,
        .vm_flags = vm_flags,
        .flags = address ? ASPEN_MAP_FIXED_NOREPLACE : 0,
        .object = object,
        .offset_bytes = pgoff * PAGE,
    };
    uint64_t result = 0;

    assert_int_equal(aspen_mmap(mm, &args, &result), 0);
    return result;
}

uint64_t
helper_map(struct aspen_mm *mm, uint64_t address, uint64_t pages,
           uint64_t vm_flags)
{
    return helper_map_object(mm, address, pages, vm_flags, NULL, 0);
}

void
helper_unmap(struct aspen_mm *mm, uint64_t address, uint64_t pages)
{
    assert_int_equal(aspen_munmap(mm, address, pages * PAGE), 0);
}

struct aspen_object *
helper_object(struct helper *helper, enum aspen_object_kind kind,
              uint64_t pages, const struct aspen_pager_ops *pager,
              void *context)
{
    struct aspen_object_args args = {
        .kind = kind,
        .device = 1,
        .inode = 1,
        .size_bytes = pages * PAGE,
        .name = "object",
        .pager = pager,
        .context = context,
    };
    struct aspen_object *object;

    assert_int_equal(aspen_object_create(helper->aspen, &args, &object), 0);
    return object;
}

/* ---- Looking ----------------------------------------------------------- */

struct aspen_mm_counters
helper_counters(struct aspen_mm *mm)
{
    struct aspen_mm_counters counters;

    aspen_mm_counters_read(mm, &counters);
    return counters;
}

uint64_t
helper_committed(struct helper *helper)
{
    struct aspen_counters counters;

    aspen_counters_read(helper->aspen, &counters);
    return counters.committed_pages;
}

bool
helper_can_read(struct aspen_mm *mm, uint64_t address)
{
    uint32_t frame;
    return aspen_translate(mm, address, ASPEN_ACCESS_READ, &frame) == 0;
}

bool
helper_can_write(struct aspen_mm *mm, uint64_t address)
{
    uint32_t frame;
    return aspen_translate(mm, address, ASPEN_ACCESS_WRITE, &frame) == 0;
}

uint32_t
helper_frame(struct aspen_mm *mm, uint64_t address)
{
    uint32_t frame;

    assert_int_equal(aspen_translate(mm, address, ASPEN_ACCESS_READ, &frame),
                     0);
    return frame;
}

static void
to_file(void *context, const char *text, size_t length)
{
    fwrite(text, 1, length, context);
}

char *
helper_dump(struct aspen_mm *mm, bool pages)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    aspen_inspect_mm(mm, pages, to_file, file);
    fclose(file);
    return text;
}

static char *
text_of(struct aspen_mm *mm,
        void (*inspect)(struct aspen_mm *, aspen_text_sink *, void *))
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    inspect(mm, to_file, file);
    fclose(file);
    return text;
}

char *
helper_maps(struct aspen_mm *mm)
{
    return text_of(mm, aspen_inspect_maps);
}

char *
helper_smaps(struct aspen_mm *mm)
{
    return text_of(mm, aspen_inspect_smaps);
}

static void
print_vma(FILE *file, const struct aspen_vma *vma)
{
    fprintf(file, "%" PRIx64 "-%" PRIx64 " %c%c%c%c %" PRIx64 "\n",
            vma->start / PAGE, vma->end / PAGE,
            vma->flags & ASPEN_VM_READ ? 'r' : '-',
            vma->flags & ASPEN_VM_WRITE ? 'w' : '-',
            vma->flags & ASPEN_VM_EXEC ? 'x' : '-',
            vma->flags & ASPEN_VM_SHARED ? 's' : 'p', vma->pgoff);
}

char *
helper_vmas(struct aspen_mm *mm)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, UINT64_MAX)) != NULL)
        print_vma(file, vma);
    fclose(file);
    return text;
}

void
helper_assert_vmas_at(struct aspen_mm *mm, const char *expected,
                      const char *file, int line)
{
    char *text = helper_vmas(mm);

    if (strcmp(text, expected) != 0) {
        print_error("found:\n%sexpected:\n%s", text, expected);
        _fail(file, line);
    }
    free(text);
}

void
helper_assert_valid_at(struct helper *helper, const char *file, int line)
{
    struct aspen_finding finding = {0};

    if (aspen_validate(helper->aspen, &finding) == 0)
        return;
    print_error("%s: %s\n", finding.check, finding.text);
    _fail(file, line);
}

void
helper_state_take(struct helper *helper, struct aspen_mm *mm,
                  struct helper_state *state)
{
    struct aspen_counters *c = &state->counters;

    memset(state, 0, sizeof(*state));
    aspen_port_rcu_barrier();
    aspen_counters_read(helper->aspen, c);
    state->frames =
        c->frames_total - c->frames_free - c->frames_table - c->tables_waiting;
    if (mm) {
        state->semantic_hash = aspen_hash_mm(mm, ASPEN_HASH_SEMANTIC);
        state->counts_hash = aspen_hash_mm(mm, ASPEN_HASH_COUNTS);
    }
}

static bool
same(const char *what, uint64_t before, uint64_t after)
{
    if (before == after)
        return true;
    print_error("%s: %" PRIu64 " before, %" PRIu64 " after\n", what, before,
                after);
    return false;
}

static bool
same_counters(const struct aspen_counters *a, const struct aspen_counters *b)
{
    bool ok = same("mms", a->mms, b->mms);

    ok &= same("mms_live", a->mms_live, b->mms_live);
    ok &= same("mms_swap_list", a->mms_swap_list, b->mms_swap_list);
    ok &= same("vmas", a->vmas, b->vmas);
    ok &= same("anon_vmas", a->anon_vmas, b->anon_vmas);
    ok &= same("anon_vma_links", a->anon_vma_links, b->anon_vma_links);
    ok &= same("objects", a->objects, b->objects);
    ok &= same("committed_pages", a->committed_pages, b->committed_pages);
    ok &= same("swap_slots_used", a->swap_slots_used, b->swap_slots_used);
    ok &= same("swap_references", a->swap_references, b->swap_references);
    ok &= same("swap_continuations", a->swap_continuations,
               b->swap_continuations);
    return ok;
}

void
helper_assert_state_at(struct helper *helper, struct aspen_mm *mm,
                       const struct helper_state *before, bool cached,
                       const char *file, int line)
{
    struct helper_state now;

    helper_state_take(helper, mm, &now);
    bool ok = same_counters(&before->counters, &now.counters);
    ok &= same("semantic hash", before->semantic_hash, now.semantic_hash);
    if (!cached) {
        ok &= same("frames with contents", before->frames, now.frames);
        ok &= same("tree nodes", before->counters.tree_nodes,
                   now.counters.tree_nodes);
        ok &= same("counts hash", before->counts_hash, now.counts_hash);
    }
    if (!ok)
        _fail(file, line);
}

/* ---- Every step fails -------------------------------------------------- */

/* Run with a plan. Returns the call's error; *counts gets what was crossed. */
static int
run_planned(const struct helper_failing *failing, enum aspen_fail_mode mode,
            uint64_t number, struct aspen_failpoint_counts *counts)
{
    struct aspen_failpoint_plan plan = {.mode = mode, .number = number};
    struct aspen *aspen = failing->helper->aspen;

    assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
    int error = failing->run(failing->context);
    aspen_failpoints_read(aspen, counts);
    assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
    return error;
}

/* Whether the call has an n-th step. */
static bool
fail_one(const struct helper_failing *failing, enum aspen_fail_mode mode,
         uint64_t number)
{
    struct helper *helper = failing->helper;
    struct aspen_failpoint_counts counts;
    struct helper_state before;

    failing->setup(failing->context);
    struct aspen_mm *mm = failing->mm ? *failing->mm : NULL;
    helper_state_take(helper, mm, &before);
    int error = run_planned(failing, mode, number, &counts);
    bool failed = counts.failed > 0;
    if (failed != (error != 0))
        fail_msg("%s: step %" PRIu64 " %s: %" PRIu64 " failed, error %s",
                 failing->name, number,
                 mode == ASPEN_FAIL_ONCE ? "once" : "onward", counts.failed,
                 aspen_error_name(error));
    if (failed) {
        if (!failing->progressive)
            helper_assert_state_at(helper, mm, &before, failing->cached,
                                   __FILE__, __LINE__);
        helper_assert_valid(helper);
        assert_int_equal(failing->run(failing->context), 0);
    }
    helper_assert_valid(helper);
    if (failing->done)
        failing->done(failing->context);
    failing->teardown(failing->context);
    return failed;
}

uint64_t
helper_fail_every_step(const struct helper_failing *failing)
{
    const enum aspen_fail_mode modes[] = {ASPEN_FAIL_ONCE, ASPEN_FAIL_ONWARD};
    uint64_t total = 0;

    for (size_t i = 0; i < 2; i++) {
        uint64_t number = 1;
        while (fail_one(failing, modes[i], number))
            number++;
        assert_true(number > 1);
        total += number - 1;
    }
    print_message("%s: %" PRIu64 " failures\n", failing->name, total);
    return total;
}

uint64_t
helper_failed_steps(const struct helper_failing *failing, enum aspen_step step)
{
    struct aspen_failpoint_counts counts;

    failing->setup(failing->context);
    assert_int_equal(run_planned(failing, ASPEN_FAIL_NEVER, 0, &counts), 0);
    failing->teardown(failing->context);
    return counts.by_step[step];
}

/* ---- This process's own memory ------------------------------------------ */

/* One buffer into a pipe and out of it into the other: an answer instead of a
 * signal, and no filter refuses it. At most a page fits for sure. Not by the
 * library, whose calls sanitizers look into. */
static size_t
move_by_pipe(void *to, const void *from, size_t length)
{
    static int ends[2];

    assert_true(length <= PAGE);
    if (!ends[1])
        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    long moved = syscall(SYS_write, ends[1], from, length);
    if (moved > 0 && syscall(SYS_read, ends[0], to, moved) == moved)
        return (size_t)moved;
    /* What the other did not take. Where the first cannot be read, kernels
     * before 6.13 leave an empty buffer, and 16 of them are a full pipe. */
    char rest[PAGE];
    long left = read(ends[0], rest, sizeof(rest));
    assert_int_equal(left, moved > 0 ? moved : -1);
    return 0;
}

size_t
helper_host_read(void *bytes, const void *at, size_t length)
{
    return move_by_pipe(bytes, at, length);
}

size_t
helper_host_write(void *at, const void *bytes, size_t length)
{
    return move_by_pipe(at, bytes, length);
}
