/* SPDX-License-Identifier: MIT */
/*
 * Random mmap, munmap, reads, writes, forks and exits against a plain model:
 * an array of pages for each address space. Some calls have a step fail; then
 * nothing may change. The seed is printed, and the line that replays it.
 */
#include "helper.h"
#include "page_model.h"

#include "object/object.h"

#define SPACES  4
#define PAGES   96u  /* that mappings lie in */
#define OFFSETS 128u /* pages of each object */
#define OBJECTS 2u
#define OPS     20000

struct space {
    struct aspen_mm *mm; /* NULL: none */
    struct page pages[PAGES];
};

struct model {
    struct helper helper;
    uint64_t random;
    struct aspen_object *objects[OBJECTS];
    uint8_t contents[OBJECTS][OFFSETS];
    struct space spaces[SPACES];
    uint64_t done[8]; /* operations, by kind */
    uint64_t failed;
};

static uint64_t
below(struct model *m, uint64_t limit)
{
    return unit_below(&m->random, limit);
}

/* The first byte of each page of the object that is mapped. */
static uint8_t *
contents_of(struct model *m, const struct page *page)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        if (m->objects[i] == page->object)
            return m->contents[i];
    return NULL;
}

static uint8_t
expected(struct model *m, const struct page *page)
{
    if (page->own)
        return page->value;
    return page->object ? contents_of(m, page)[page->pgoff] : 0;
}

/* ---- Some calls fail --------------------------------------------------- */

static void
plan(struct model *m)
{
    struct aspen_failpoint_plan plan = {
        .mode = below(m, 2) ? ASPEN_FAIL_ONCE : ASPEN_FAIL_ONWARD,
        .number = 1 + below(m, 24),
    };
    if (below(m, 8) == 0)
        assert_int_equal(aspen_failpoints_set(m->helper.aspen, &plan), 0);
}

/* What the call said, 0 or an error; false: it failed as planned. */
static bool
succeeded(struct model *m, int error)
{
    struct aspen_failpoint_counts counts;

    aspen_failpoints_read(m->helper.aspen, &counts);
    assert_int_equal(aspen_failpoints_set(m->helper.aspen, NULL), 0);
    if (error && counts.failed == 0)
        fail_msg("%s without a failing step", aspen_error_name(error));
    m->failed += error != 0;
    return error == 0;
}

/* ---- Operations -------------------------------------------------------- */

static uint64_t
random_flags(struct model *m)
{
    const uint64_t choices[] = {RW, RW, RW, R, RX, 0, RW | ASPEN_VM_EXEC};
    return choices[below(m, sizeof(choices) / sizeof(choices[0]))];
}

static void
do_mmap(struct model *m, struct space *s)
{
    unsigned first = (unsigned)below(m, PAGES);
    unsigned count = 1 + (unsigned)below(m, below(m, 4) ? 8 : PAGES);
    unsigned object = (unsigned)below(m, OBJECTS + 2);
    struct aspen_mmap_args args = {.vm_flags = random_flags(m)};
    uint64_t offset = 0;

    if (count > PAGES - first)
        count = PAGES - first;
    if (object < OBJECTS) {
        /* Often where neighbours could merge. */
        offset = below(m, 2) ? first : below(m, OFFSETS - count);
        args.object = m->objects[object];
        args.offset_bytes = offset * PAGE;
        args.vm_flags |= below(m, 2) ? ASPEN_VM_SHARED : 0;
    }
    args.address = page_address(first);
    args.length_bytes = count * PAGE;
    args.flags = ASPEN_MAP_FIXED;

    plan(m);
    uint64_t address;
    if (!succeeded(m, aspen_mmap(s->mm, &args, &address)))
        return;
    assert_int_equal(address, args.address);
    pages_map(s->pages, first, first + count, args.vm_flags, args.object,
              offset);
}

static void
do_munmap(struct model *m, struct space *s)
{
    unsigned first = (unsigned)below(m, PAGES);
    unsigned count = 1 + (unsigned)below(m, below(m, 4) ? 8 : PAGES);

    if (count > PAGES - first)
        count = PAGES - first;
    plan(m);
    if (succeeded(m, aspen_munmap(s->mm, page_address(first), count * PAGE)))
        pages_clear(s->pages, first, first + count);
}

/* 0, or the error that the access has to have. */
static int
refusal(const struct page *page, uint64_t wanted)
{
    if (!page->mapped)
        return -ASPEN_EFAULT;
    return page->flags & wanted ? 0 : -ASPEN_EACCES;
}

static void
do_write(struct model *m, struct space *s)
{
    unsigned i = (unsigned)below(m, PAGES);
    struct page *page = &s->pages[i];
    uint8_t value = (uint8_t)below(m, 256);
    int refused = refusal(page, ASPEN_VM_WRITE);

    plan(m);
    int error = helper_write(&m->helper, s->mm, page_address(i), &value, 1);
    if (refused && error == refused)
        error = 0;
    else
        assert_true(!refused || error);
    if (!succeeded(m, error) || refused)
        return;
    if (page->flags & ASPEN_VM_SHARED) {
        contents_of(m, page)[page->pgoff] = value;
    } else {
        page->own = true;
        page->value = value;
    }
}

static void
do_read(struct model *m, struct space *s)
{
    unsigned i = (unsigned)below(m, PAGES);
    uint8_t value = 0;
    int refused = refusal(&s->pages[i], ASPEN_VM_ACCESS);

    plan(m);
    int error = helper_read(&m->helper, s->mm, page_address(i), &value, 1);
    if (refused && error == refused)
        error = 0;
    else
        assert_true(!refused || error);
    if (succeeded(m, error) && !refused)
        assert_int_equal(value, expected(m, &s->pages[i]));
}

static void
do_fork(struct model *m, struct space *s)
{
    struct space *to = &m->spaces[below(m, SPACES)];
    struct aspen_mm *child;

    if (to->mm)
        return;
    plan(m);
    if (!succeeded(m, aspen_fork(s->mm, &child)))
        return;
    to->mm = child;
    memcpy(to->pages, s->pages, sizeof(to->pages));
}

static unsigned
spaces_alive(const struct model *m)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SPACES; i++)
        count += m->spaces[i].mm != NULL;
    return count;
}

static void
do_exit(struct model *m, struct space *s)
{
    if (spaces_alive(m) == 1)
        return;
    aspen_mm_put(s->mm);
    memset(s, 0, sizeof(*s));
}

/* ---- Comparing --------------------------------------------------------- */

/* Looked at through the tables alone where there is a page, so that checking
 * makes none. */
static void
check_page(struct model *m, struct space *s, unsigned i)
{
    const struct page *page = &s->pages[i];
    uint32_t frame;

    if (aspen_translate(s->mm, page_address(i), ASPEN_ACCESS_READ, &frame)) {
        assert_false(page->own && page->flags & ASPEN_VM_ACCESS);
        return;
    }
    assert_true(page->mapped);
    assert_int_equal(((uint8_t *)m->helper.direct_map)[frame * PAGE],
                     expected(m, page));
}

static void
check(struct model *m)
{
    struct aspen_counters counters;
    uint64_t charge = 0;

    for (unsigned k = 0; k < SPACES; k++) {
        struct space *s = &m->spaces[k];
        if (!s->mm)
            continue;
        for (unsigned i = 0; i < PAGES; i++) {
            page_check(s->mm, s->pages, i);
            check_page(m, s, i);
        }
        pages_check_sizes(s->mm, s->pages, PAGES);
        charge += pages_charged(s->pages, PAGES);
    }
    aspen_counters_read(m->helper.aspen, &counters);
    assert_int_equal(counters.committed_pages, charge);
    assert_int_equal(counters.mms_live, spaces_alive(m));
    helper_assert_valid(&m->helper);
}

static void
step(struct model *m)
{
    static void (*const operations[])(struct model *, struct space *) = {
        do_mmap, do_munmap, do_write, do_read, do_fork, do_exit,
    };
    static const unsigned char deck[] = {0, 0, 0, 0, 1, 1, 1, 2, 2, 2,
                                         2, 2, 2, 2, 3, 3, 3, 3, 4, 5};
    struct space *s;

    do
        s = &m->spaces[below(m, SPACES)];
    while (!s->mm);
    unsigned kind = deck[below(m, sizeof(deck))];
    operations[kind](m, s);
    m->done[kind]++;
}

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    uint8_t *contents = context;

    *(uint8_t *)page = contents[offset_bytes / PAGE];
    return 0;
}

static void
begin(struct model *m)
{
    static const struct aspen_pager_ops pager = {.read = read_page};

    helper_create(&m->helper, NULL);
    for (unsigned i = 0; i < OFFSETS; i++)
        m->contents[0][i] = (uint8_t)(i + 1);
    m->objects[0] = helper_object(&m->helper, ASPEN_OBJECT_FILE, OFFSETS,
                                  &pager, m->contents[0]);
    m->objects[1] =
        helper_object(&m->helper, ASPEN_OBJECT_SHMEM, OFFSETS, NULL, NULL);
    m->spaces[0].mm = helper_mm(&m->helper);
}

static void
end(struct model *m)
{
    for (unsigned k = 0; k < SPACES; k++)
        if (m->spaces[k].mm)
            aspen_mm_put(m->spaces[k].mm);
    for (unsigned i = 0; i < OBJECTS; i++)
        aspen_object_put(m->objects[i]);
    helper_destroy(&m->helper);
}

static void
test_random(void **state)
{
    (void)state;
    static struct model m;

    m.random = unit_seed("test_calls_random", 1);
    begin(&m);
    for (unsigned i = 0; i < OPS; i++) {
        step(&m);
        if (i % 64 == 0)
            check(&m);
    }
    check(&m);
    print_message("%u calls (mmap %llu munmap %llu write %llu read %llu fork "
                  "%llu exit %llu), %llu of them failed\n",
                  OPS, (unsigned long long)m.done[0],
                  (unsigned long long)m.done[1], (unsigned long long)m.done[2],
                  (unsigned long long)m.done[3], (unsigned long long)m.done[4],
                  (unsigned long long)m.done[5], (unsigned long long)m.failed);
    end(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
