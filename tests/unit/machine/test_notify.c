/* SPDX-License-Identifier: MIT */
/*
 * What second MMUs go by: who fills itself has to look again if, and only if,
 * what it looked at may have been taken away; and each hook that is there.
 */
#include "helper.h"

#include "internal.h"
#include "machine/notify.h"
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#define BASE     0x1000000ull
#define AT(page) (BASE + (page)*PAGE)
#define FAR      (ASPEN_NOTIFY_ENDED + 2) /* a page that nothing is done to */

/* ---- Hooks that look --------------------------------------------------- */

static struct {
    unsigned started, ended;
    uint64_t start, end; /* of the last */
    uint64_t begun;      /* before the call */
    bool inside;         /* a reader of page 0 has to look again, in hooks */
    bool elsewhere;      /* so has one of page FAR */
    bool young;          /* the answer */
    unsigned tested, cleared;
} seen;

static void
look(struct aspen_mm *mm)
{
    seen.inside &= aspen_mmu_retry(mm, seen.begun, AT(0), AT(1));
    seen.elsewhere |= aspen_mmu_retry(mm, seen.begun, AT(FAR), AT(FAR + 1));
}

static void
on_start(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    seen.started++;
    seen.start = start;
    seen.end = end;
    look(mm);
}

static void
on_end(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    assert_int_equal(start, seen.start);
    assert_int_equal(end, seen.end);
    seen.ended++;
    look(mm);
}

static bool
on_test(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context, (void)mm;
    assert_int_equal(end - start, PAGE);
    seen.tested++;
    return seen.young;
}

static bool
on_clear(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context, (void)mm, (void)start, (void)end;
    seen.cleared++;
    return seen.young;
}

static const struct aspen_notifier_ops brackets = {
    .invalidate_start = on_start,
    .invalidate_end = on_end,
};
static const struct aspen_notifier_ops both = {
    .invalidate_start = on_start,
    .invalidate_end = on_end,
    .test_young = on_test,
    .clear_young = on_clear,
};

static void
forget(struct aspen_mm *mm)
{
    memset(&seen, 0, sizeof(seen));
    seen.inside = true;
    seen.begun = aspen_mmu_begin(mm);
}

static void
create(struct helper_space *s, const struct aspen_notifier_ops *ops)
{
    struct aspen_config config;

    memset(&seen, 0, sizeof(seen));
    aspen_config_init(&config);
    config.hooks.notifier = ops;
    helper_space_create(s, &config);
    helper_map(s->mm, BASE, FAR + 1, RW);
    for (unsigned i = 0; i <= FAR; i++)
        helper_put(&s->helper, s->mm, AT(i), 'a');
    forget(s->mm);
}

/* ---- Who fills itself -------------------------------------------------- */

static bool
again(struct aspen_mm *mm, unsigned page)
{
    return aspen_mmu_retry(mm, seen.begun, AT(page), AT(page + 1));
}

/* Before the hook, in it, until after the other one, and after all that. */
static void
who_began_before_looks_again(void **state)
{
    struct helper_space s;

    (void)state;
    create(&s, &brackets);
    assert_false(again(s.mm, 0));
    helper_unmap(s.mm, BASE, 2);
    assert_int_equal(seen.started, 1);
    assert_int_equal(seen.ended, 1);
    assert_true(seen.inside);
    assert_false(seen.elsewhere);
    assert_true(again(s.mm, 0));
    assert_true(again(s.mm, 1));
    assert_false(again(s.mm, 2)); /* beside it */
    assert_true(aspen_mmu_retry(s.mm, seen.begun, AT(1), AT(3)));
    forget(s.mm);
    assert_false(again(s.mm, 0)); /* who began after it */
    helper_space_destroy(&s);
}

/* So many are remembered one by one; then nobody knows any more. */
static void
what_has_ended_is_known_by_its_range(void **state)
{
    struct helper_space s;

    (void)state;
    create(&s, &brackets);
    for (unsigned i = 0; i < ASPEN_NOTIFY_ENDED; i++) {
        helper_unmap(s.mm, AT(i), 1);
        for (unsigned page = 0; page <= FAR; page++)
            assert_int_equal(again(s.mm, page), page <= i);
    }
    helper_unmap(s.mm, AT(ASPEN_NOTIFY_ENDED), 1);
    assert_true(again(s.mm, FAR));
    helper_space_destroy(&s);
}

/* Each is under way until it has ended, in whichever order. */
static void
several_are_open(void **state)
{
    struct helper_space s;

    (void)state;
    create(&s, &brackets);
    aspen_notify_open(s.mm, AT(4), AT(5));
    aspen_notify_open(s.mm, AT(2), AT(3));
    forget(s.mm); /* a reader that begins meanwhile */
    assert_true(again(s.mm, 2));
    assert_true(again(s.mm, 4));
    assert_false(again(s.mm, 1));
    assert_false(again(s.mm, 5));
    seen.start = AT(4), seen.end = AT(5);
    aspen_notify_close(s.mm, AT(4), AT(5));
    assert_true(again(s.mm, 2));
    assert_true(again(s.mm, 4));
    assert_false(again(s.mm, 1));
    seen.start = AT(2), seen.end = AT(3);
    aspen_notify_close(s.mm, AT(2), AT(3));
    assert_true(again(s.mm, 2));
    forget(s.mm);
    assert_false(again(s.mm, 2));
    aspen_notify_open(s.mm, AT(7), AT(8)); /* the range begins anew */
    assert_false(again(s.mm, 2));
    assert_true(again(s.mm, 7));
    seen.start = AT(7), seen.end = AT(8);
    aspen_notify_close(s.mm, AT(7), AT(8));
    helper_space_destroy(&s);
}

static void *
end_it(void *mm)
{
    struct timespec pause = {.tv_nsec = 2000000};

    nanosleep(&pause, NULL);
    aspen_notify_close(mm, AT(0), AT(1));
    return NULL;
}

/* Of what overlaps, and of nothing else. */
static void
wait_ends_with_the_bracket(void **state)
{
    struct helper_space s;
    pthread_t thread;

    (void)state;
    create(&s, &brackets);
    aspen_mmu_wait(s.mm, 0, UINT64_MAX);
    aspen_notify_open(s.mm, AT(0), AT(1));
    aspen_mmu_wait(s.mm, AT(1), AT(2));
    assert_int_equal(pthread_create(&thread, NULL, end_it, s.mm), 0);
    aspen_mmu_wait(s.mm, AT(0), AT(2));
    assert_int_equal(seen.ended, 1);
    pthread_join(thread, NULL);
    helper_space_destroy(&s);
}

static void *
wait_for_page_0(void *mm)
{
    aspen_mmu_wait(mm, AT(0), AT(1));
    return NULL;
}

/* Who looks whether he has to wait, and does not, leaves those who do. */
static void
who_need_not_wait_keeps_nobody_asleep(void **state)
{
    struct helper_space s;
    pthread_t thread;

    (void)state;
    create(&s, &brackets);
    aspen_notify_open(s.mm, AT(0), AT(1));
    seen.start = AT(0), seen.end = AT(1);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_page_0, s.mm), 0);
    for (bool waiting = false; !waiting; sched_yield()) {
        aspen_spin_lock(&s.mm->notify.lock, ASPEN_LOCK_LEAF);
        waiting = s.mm->notify.waiting;
        aspen_spin_unlock(&s.mm->notify.lock);
    }
    aspen_mmu_wait(s.mm, AT(1), AT(2));
    /* Longer than it takes to fall asleep. */
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    aspen_notify_close(s.mm, AT(0), AT(1));
    alarm(20);
    pthread_join(thread, NULL);
    alarm(0);
    helper_space_destroy(&s);
}

/* ---- Spaces that end --------------------------------------------------- */

static void
exit_has_a_bracket_around_all(void **state)
{
    struct helper_space s;

    (void)state;
    create(&s, &brackets);
    struct aspen_mm *mm = helper_mm(&s.helper);
    helper_map(mm, BASE, 1, RW);
    helper_put(&s.helper, mm, BASE, 'a');
    forget(mm);
    aspen_mm_put(mm);
    assert_int_equal(seen.started, 1);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.start, 0);
    assert_true(seen.end > AT(FAR));
    helper_space_destroy(&s);
}

/* ---- Young ------------------------------------------------------------- */

struct text {
    char text[8192];
    size_t length;
};

static void
collect(void *context, const char *piece, size_t length)
{
    struct text *text = context;

    assert_true(text->length + length < sizeof(text->text));
    memcpy(text->text + text->length, piece, length);
    text->length += length;
}

/* In kB, of the first mapping. */
static uint64_t
referenced(struct aspen_mm *mm)
{
    struct text text = {{0}, 0};

    aspen_inspect_smaps(mm, collect, &text);
    const char *at = strstr(text.text, "Referenced:");
    assert_non_null(at);
    return strtoull(at + strlen("Referenced:"), NULL, 10);
}

/* Where Aspen looks at accessed bits, and where it clears them. */
static void
who_ages_asks(void **state)
{
    struct helper_space s;
    uint64_t pages = 0;

    (void)state;
    create(&s, &both);
    assert_int_equal(aspen_madvise(s.mm, AT(0), AT(2) - AT(0), ASPEN_MADV_COLD),
                     0);
    assert_int_equal(seen.cleared, 1);
    assert_int_equal(seen.started, 0);
    assert_int_equal(aspen_young(s.mm, AT(0), 3 * PAGE, 0, &pages), 0);
    assert_int_equal(pages, 1);
    assert_int_equal(seen.tested, 3);
    assert_int_equal(referenced(s.mm), (FAR - 1) * 4);

    seen.young = true;
    assert_int_equal(aspen_young(s.mm, AT(0), 3 * PAGE, 0, &pages), 0);
    assert_int_equal(pages, 3);
    assert_int_equal(referenced(s.mm), (FAR + 1) * 4);
    assert_int_equal(
        aspen_young(s.mm, AT(0), 3 * PAGE, ASPEN_YOUNG_CLEAR, &pages), 0);
    assert_int_equal(pages, 3);
    assert_int_equal(seen.cleared, 4);
    assert_int_equal(seen.started, 0);
    helper_space_destroy(&s);
}

static int
read_nothing(void *context, uint64_t offset_bytes, void *page)
{
    (void)context, (void)offset_bytes;
    memset(page, 0, PAGE);
    return 0;
}

/* Which pages of files are old enough to go. */
static void
reclaim_asks(void **state)
{
    static const struct aspen_pager_ops pager = {.read = read_nothing};
    const uint64_t at = AT(2 * FAR);
    struct helper_space s;

    (void)state;
    create(&s, &both);
    struct aspen_object *file =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, 1, &pager, NULL);
    helper_map_object(s.mm, at, 1, R, file, 0);
    assert_int_equal(helper_get(&s.helper, s.mm, at), 0);
    seen.young = true; /* whatever was accessed, it is by this one, too */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(aspen_reclaim(s.helper.aspen, 1), 0);
    assert_true(seen.cleared > 0);
    assert_int_equal(seen.started, 0);
    seen.young = false;
    uint64_t gone = 0;
    for (unsigned i = 0; i < 4; i++)
        gone += aspen_reclaim(s.helper.aspen, 1);
    assert_int_equal(gone, 1);
    assert_int_equal(seen.started, 1);
    aspen_object_put(file);
    helper_space_destroy(&s);
}

/* Without these hooks it loses what it has, so that it has to come again. */
static void
who_cannot_tell_is_invalidated(void **state)
{
    struct helper_space s;
    uint64_t pages = 0;

    (void)state;
    create(&s, &brackets);
    assert_int_equal(aspen_madvise(s.mm, AT(0), PAGE, ASPEN_MADV_COLD), 0);
    assert_int_equal(seen.started, 1);
    assert_int_equal(seen.start, AT(0));
    assert_int_equal(seen.end, AT(1));
    assert_int_equal(aspen_young(s.mm, AT(0), PAGE, ASPEN_YOUNG_CLEAR, &pages),
                     0);
    assert_int_equal(pages, 0);
    assert_int_equal(seen.started, 2);
    assert_int_equal(seen.ended, 2);
    helper_space_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_began_before_looks_again),
        cmocka_unit_test(what_has_ended_is_known_by_its_range),
        cmocka_unit_test(several_are_open),
        cmocka_unit_test(wait_ends_with_the_bracket),
        cmocka_unit_test(who_need_not_wait_keeps_nobody_asleep),
        cmocka_unit_test(exit_has_a_bracket_around_all),
        cmocka_unit_test(who_ages_asks),
        cmocka_unit_test(reclaim_asks),
        cmocka_unit_test(who_cannot_tell_is_invalidated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
