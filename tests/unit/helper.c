/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "helper.h"

#include "paging/table.h"
#include "space/vma.h"
#include <inttypes.h>
#include <sys/mman.h>

#define FRAMES 4096 /* where a test names none */

/* ---- Counting ---------------------------------------------------------- */

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

struct aspen_counters
helper_counts(struct aspen *aspen)
{
    struct aspen_counters counters;

    aspen_port_rcu_barrier();
    aspen_counters_read(aspen, &counters);
    return counters;
}

void
helper_assert_counts_at(struct aspen *aspen,
                        const struct aspen_counters *before, const char *file,
                        int line)
{
    struct aspen_counters now = helper_counts(aspen);

    bool ok = same_counters(before, &now);
    ok &= same("frames_free", before->frames_free, now.frames_free);
    ok &= same("frames_table", before->frames_table, now.frames_table);
    ok &= same("tables_waiting", before->tables_waiting, now.tables_waiting);
    ok &= same("tree nodes", before->tree_nodes, now.tree_nodes);
    if (!ok)
        _fail(file, line);
}

/* ---- A machine alone --------------------------------------------------- */

static void *
new_direct_map(uint32_t frames)
{
    void *map = mmap(NULL, frames * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(map != MAP_FAILED);
    return map;
}

struct aspen_config
helper_config(uint32_t frames)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.frames = frames;
    config.direct_map = new_direct_map(frames);
    return config;
}

struct aspen *
helper_machine_from(const struct aspen_config *config)
{
    struct aspen *aspen = NULL;

    assert_int_equal(aspen_create(config, &aspen), 0);
    return aspen;
}

struct aspen *
helper_machine(uint32_t frames)
{
    struct aspen_config config = helper_config(frames);

    return helper_machine_from(&config);
}

void
helper_machine_destroy(struct aspen *aspen)
{
    void *map = aspen->config.direct_map;
    size_t bytes = aspen->config.frames * PAGE;

    assert_int_equal(aspen_destroy(aspen), 0);
    assert_int_equal(munmap(map, bytes), 0);
}

struct aspen_mm *
helper_new_mm(struct aspen *aspen)
{
    struct aspen_mm *mm = NULL;

    assert_int_equal(aspen_mm_create(aspen, &mm), 0);
    return mm;
}

struct aspen_object *
helper_new_object(struct aspen *aspen, enum aspen_object_kind kind,
                  uint64_t size_bytes)
{
    struct aspen_object_args args = {.kind = kind, .size_bytes = size_bytes};
    struct aspen_object *object = NULL;

    assert_int_equal(aspen_object_create(aspen, &args, &object), 0);
    return object;
}

/* ---- A machine --------------------------------------------------------- */

void
helper_create(struct helper *helper, const struct aspen_config *config)
{
    struct aspen_config filled;

    if (config)
        filled = *config;
    else
        aspen_config_init(&filled);
    if (!filled.frames)
        filled.frames = FRAMES;
    if (!filled.direct_map)
        filled.direct_map = new_direct_map(filled.frames);
    helper->direct_map = filled.direct_map;
    helper->direct_map_bytes = filled.frames * PAGE;
    helper->aspen = helper_machine_from(&filled);
}

static void
assert_nothing_left(struct aspen *aspen)
{
    struct aspen_counters c = helper_counts(aspen);

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
    assert_nothing_left(helper->aspen);
    helper_machine_destroy(helper->aspen);
}

struct aspen_mm *
helper_mm(struct helper *helper)
{
    return helper_new_mm(helper->aspen);
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

/* A processor that writes flags into entries has done so by then. */
static void
set_flags(struct aspen_mm *mm, uint64_t address, unsigned access)
{
#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
    unsigned bits = access == ASPEN_ACCESS_WRITE
                        ? ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY
                        : ASPEN_ENTRY_YOUNG;
    struct aspen_slot slot;
    uint64_t entry = aspen_table_walk(mm, address, &slot);

    while (aspen_entry_is_leaf(entry, slot.level) &&
           !aspen_compare_exchange(slot.entry, &entry,
                                   aspen_entry_set_bits(entry, bits)))
        ;
#else
    (void)mm, (void)address, (void)access;
#endif
}

int
helper_access(struct aspen_mm *mm, uint64_t address, unsigned access,
              uint32_t *frame)
{
    while (aspen_translate(mm, address, access, frame)) {
        int error = aspen_fault(mm, address, access);
        if (error)
            return error;
    }
    set_flags(mm, address, access);
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

int
helper_try_map(struct aspen_mm *mm, uint64_t address, uint64_t bytes,
               uint64_t vm_flags, unsigned flags, uint64_t *result)
{
    struct aspen_mmap_args args = {
        .address = address,
        .length_bytes = bytes,
        .vm_flags = vm_flags,
        .flags = flags,
    };

    return aspen_mmap(mm, &args, result);
}

void
helper_unmap(struct aspen_mm *mm, uint64_t address, uint64_t pages)
{
    assert_int_equal(aspen_munmap(mm, address, pages * PAGE), 0);
}

void
helper_unpin(struct aspen_mm *mm, const uint32_t *frames, uint64_t pages,
             unsigned flags)
{
    assert_int_equal(aspen_unpin(mm, frames, pages, flags), 0);
}

int
helper_remap(struct aspen_mm *mm, uint64_t address, uint64_t old_bytes,
             uint64_t new_bytes, unsigned flags, uint64_t new_address)
{
    struct aspen_mremap_args args = {
        .address = address,
        .old_bytes = old_bytes,
        .new_bytes = new_bytes,
        .flags = flags,
        .new_address = new_address,
    };
    uint64_t result;

    return aspen_mremap(mm, &args, &result);
}

struct aspen_vma *
helper_import(struct aspen_mm *mm, uint64_t start, uint64_t pages,
              uint64_t flags, struct aspen_object *object, uint64_t pgoff)
{
    struct aspen_import_vma args = {
        .start = start,
        .end = start + pages * PAGE,
        .vm_flags = flags,
        .object = object,
        .offset_bytes = pgoff * PAGE,
    };

    assert_int_equal(aspen_import_vma(mm, &args), 0);
    return aspen_vma_at(mm, start);
}

int
helper_import_pages(struct aspen_mm *mm, uint64_t address, uint64_t count,
                    enum aspen_import_kind kind, unsigned level)
{
    struct aspen_import_pages args = {
        .address = address, .count = count, .kind = kind, .level = level};
    uint64_t done = 0;

    int error = aspen_import_pages(mm, &args, &done);
    assert_int_equal(done, error ? done : count);
    return error;
}

int
helper_pager_read(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    memset(page, (int)(offset_bytes / PAGE) + 1, PAGE);
    return 0;
}

int
helper_pager_number(void *context, uint64_t offset_bytes, void *page)
{
    uint64_t number = offset_bytes / PAGE;

    (void)context;
    memcpy(page, &number, sizeof(number));
    return 0;
}

int
helper_device_frame(void *context, uint64_t offset_bytes, unsigned access,
                    struct aspen_device_frame *frame)
{
    const uint64_t *first = context;

    (void)access;
    frame->number = *first + offset_bytes / PAGE;
    return 0;
}

int
helper_pager_write(void *context, uint64_t offset_bytes,
                   const void *const pages[], uint64_t bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)pages;
    (void)bytes;
    return 0;
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

bool
helper_can_execute(struct aspen_mm *mm, uint64_t address)
{
    uint32_t frame;

#ifdef ASPEN_PORT_ICACHE_SYNC
    if (aspen_fault(mm, address, ASPEN_ACCESS_EXEC))
        return false;
#endif
    return aspen_translate(mm, address, ASPEN_ACCESS_EXEC, &frame) == 0;
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
    aspen_inspect_mm(mm, pages ? ASPEN_INSPECT_PAGES : 0, to_file, file);
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

void
helper_assert_space_at(struct aspen_mm *mm, const char *expected,
                       const char *file, int line)
{
    char *dump = helper_dump(mm, false);
    const char *vmas = strchr(dump, '\n') + 1;

    if (strcmp(vmas, expected) != 0) {
        print_error("found:\n%sexpected:\n%s", vmas, expected);
        _fail(file, line);
    }
    free(dump);
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
    *c = helper_counts(helper->aspen);
    state->frames =
        c->frames_total - c->frames_free - c->frames_table - c->tables_waiting;
    if (mm) {
        state->semantic_hash = aspen_hash_mm(mm, ASPEN_HASH_SEMANTIC);
        state->counts_hash = aspen_hash_mm(mm, ASPEN_HASH_COUNTS);
    }
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
