/* SPDX-License-Identifier: MIT */
/*
 * Spaces that write, read, fork and cut off shared memory, while they go from
 * group to group, groups come and go and have limits, and devices come and go:
 * each reads what it wrote, and at the end nobody is charged with anything.
 */
#include "helper.h"
#include "must_be.h"
#include "slots.h"

#include "group/group.h"

#include <aspen/calls/advise.h>
#include <pthread.h>

#define WORKERS 3u
#define PAGES   48u /* private, and as many of the object */
#define SLOTS   512u
#define DEVICES 2u
#define GROUPS  3u
#define ROUNDS  6000u

static struct {
    struct helper_space s;
    struct helper *h;
    struct aspen *aspen;
    struct aspen_object *object;
    struct aspen_group *top;
    struct aspen_group *groups[GROUPS]; /* below that; `lock` */
    pthread_mutex_t lock;
    uint8_t slots[DEVICES][SLOTS][4096];
    uint32_t ended; /* atomic: workers */
} scene;

struct worker {
    struct aspen_mm *mm;
    unsigned number;
    uint64_t seed;
    uint64_t at;           /* private pages */
    uint64_t shared;       /* pages of the object that are its own */
    uint64_t words[PAGES]; /* what they begin with, */
    uint64_t tails[PAGES]; /* ... and end with; of the object's */
    uint64_t private[PAGES];
    uint64_t refused;
    uint64_t moves;
    uint64_t forks;
};

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    return slots_transfer(context, io);
}

static const struct aspen_swap_ops device = {.transfer = transfer};

/* ---- One space ---------------------------------------------------------- */

/* What a limit may refuse. */
static bool
refused(struct worker *w, int error)
{
    if (error != -ASPEN_ENOMEM)
        must_be(error, 0);
    w->refused += error != 0;
    return error != 0;
}

static void
look(struct worker *w, struct aspen_mm *mm, uint64_t address, uint64_t expected)
{
    uint64_t number = expected, done;

    if (!refused(w, aspen_read_memory(mm, address, &number, sizeof(number), 0,
                                      &done)))
        must_be(number, expected);
}

static void
write_private(struct worker *w)
{
    uint64_t i = unit_below(&w->seed, PAGES), done;
    uint64_t number = unit_random(&w->seed);

    if (!refused(w, aspen_write_memory(w->mm, w->at + i * PAGE, &number,
                                       sizeof(number), 0, &done)))
        w->private[i] = number;
}

static uint64_t
offset_of(const struct worker *w, uint64_t i)
{
    return (w->number * PAGES + i) * PAGE;
}

static void
write_shared(struct worker *w)
{
    uint64_t i = unit_below(&w->seed, PAGES), done;
    uint64_t number = unit_random(&w->seed);
    bool tail = unit_below(&w->seed, 2);
    uint64_t inside = tail ? PAGE - sizeof(number) : 0;
    bool mapped = unit_below(&w->seed, 2);

    int error = mapped
                    ? aspen_write_memory(w->mm, w->shared + i * PAGE + inside,
                                         &number, sizeof(number), 0, &done)
                    : aspen_object_write(scene.object, offset_of(w, i) + inside,
                                         &number, sizeof(number), &done);
    if (!refused(w, error))
        *(tail ? &w->tails[i] : &w->words[i]) = number;
}

/* From the middle of a page to the middle of another. */
static void
punch(struct worker *w)
{
    uint64_t first = unit_below(&w->seed, PAGES - 1);
    uint64_t last = first + 1 + unit_below(&w->seed, PAGES - 1 - first);

    if (refused(w,
                aspen_object_punch(scene.object, offset_of(w, first) + PAGE / 2,
                                   (last - first) * PAGE)))
        return;
    for (uint64_t i = first; i < last; i++) {
        w->tails[i] = 0;
        w->words[i + 1] = 0;
    }
}

static void
read_some(struct worker *w, struct aspen_mm *mm, unsigned count)
{
    while (count--) {
        uint64_t i = unit_below(&w->seed, PAGES), number = 0, done;
        look(w, mm, w->at + i * PAGE, w->private[i]);
        look(w, mm, w->shared + i * PAGE, w->words[i]);
        look(w, mm, w->shared + (i + 1) * PAGE - 8, w->tails[i]);
        if (!refused(w, aspen_object_read(scene.object, offset_of(w, i),
                                          &number, sizeof(number), &done)))
            must_be(number, w->words[i]);
    }
}

static void
advise(struct worker *w)
{
    static const enum aspen_advice advice[] = {
        ASPEN_MADV_PAGEOUT,  ASPEN_MADV_PAGEOUT,    ASPEN_MADV_COLD,
        ASPEN_MADV_WILLNEED, ASPEN_MADV_SEQUENTIAL, ASPEN_MADV_RANDOM};
    uint64_t first = unit_below(&w->seed, PAGES);
    uint64_t pages = 1 + unit_below(&w->seed, PAGES - first);
    uint64_t at = unit_below(&w->seed, 2) ? w->at : w->shared;

    (void)refused(w, aspen_madvise(w->mm, at + first * PAGE, pages * PAGE,
                                   advice[unit_below(&w->seed, 6)]));
}

static void
discard(struct worker *w)
{
    uint64_t i = unit_below(&w->seed, PAGES);

    must_be(aspen_madvise(w->mm, w->at + i * PAGE, PAGE, ASPEN_MADV_DONTNEED),
            0);
    w->private[i] = 0;
}

static void
make_child(struct worker *w)
{
    struct aspen_mm *child;
    struct worker of_child;

    if (refused(w, aspen_fork(w->mm, &child)))
        return;
    w->forks++;
    of_child = *w;
    of_child.mm = child;
    read_some(&of_child, child, 5);
    for (unsigned i = 0; i < 5; i++) {
        write_private(&of_child);
        write_private(w);
    }
    read_some(&of_child, child, 10);
    read_some(w, w->mm, 5);
    aspen_mm_put(child);
}

static void
move(struct worker *w)
{
    unsigned number = (unsigned)unit_below(&w->seed, GROUPS + 1);
    struct aspen_group *group = NULL;

    pthread_mutex_lock(&scene.lock);
    if (number < GROUPS)
        group = scene.groups[number];
    if (group)
        aspen_group_get(group);
    pthread_mutex_unlock(&scene.lock);
    w->moves += !refused(w, aspen_group_enter(w->mm, group));
    if (group)
        aspen_group_put(group);
}

static void *
work(void *argument)
{
    struct worker *w = argument;

    for (unsigned round = 0; round < unit_rounds(ROUNDS); round++)
        switch (unit_below(&w->seed, 12)) {
        case 0:
            punch(w);
            break;
        case 1:
        case 2:
            advise(w);
            break;
        case 3:
            discard(w);
            break;
        case 4:
            make_child(w);
            break;
        case 5:
            move(w);
            break;
        case 6:
        case 7:
            write_shared(w);
            break;
        case 8:
        case 9:
            read_some(w, w->mm, 3);
            break;
        default:
            write_private(w);
            break;
        }
    aspen_fetch_add(&scene.ended, 1u);
    return NULL;
}

/* ---- What is around them ------------------------------------------------ */

static void
new_group(unsigned number)
{
    struct aspen_group *group, *old;

    must_be(aspen_group_create(scene.aspen, scene.top, &group), 0);
    pthread_mutex_lock(&scene.lock);
    old = scene.groups[number];
    scene.groups[number] = group;
    pthread_mutex_unlock(&scene.lock);
    if (old)
        aspen_group_put(old);
}

static void
add_device(unsigned number, unsigned *type)
{
    must_be(aspen_swap_add(scene.aspen,
                           &(struct aspen_swap_args){
                               .pages = SLOTS,
                               .flags = ASPEN_SWAP_CHECKSUM,
                               .ops = &device,
                               .context = scene.slots[number],
                           },
                           type),
            0);
}

static void
limit(uint64_t *seed)
{
    static const enum aspen_group_limit limits[] = {
        ASPEN_GROUP_MIN, ASPEN_GROUP_LOW, ASPEN_GROUP_HIGH, ASPEN_GROUP_MAX,
        ASPEN_GROUP_SWAP_MAX};
    unsigned which = (unsigned)unit_below(seed, 5);
    uint64_t pages = which < 2             ? unit_below(seed, 40)
                     : unit_below(seed, 3) ? 40 + unit_below(seed, 200)
                                           : ASPEN_GROUP_UNLIMITED;

    must_be(aspen_group_limit_set(scene.groups[unit_below(seed, GROUPS)],
                                  limits[which], pages),
            0);
}

static uint64_t
disturb(uint64_t seed)
{
    unsigned types[DEVICES], there = 0;
    uint64_t removed = 0;

    while (aspen_load(&scene.ended) < WORKERS) {
        unsigned number = (unsigned)unit_below(&seed, DEVICES);
        switch (unit_below(&seed, 8)) {
        case 0:
            if (!(there >> number & 1)) {
                add_device(number, &types[number]);
                there |= 1u << number;
            } else if (!unit_below(&seed, 4)) {
                int error = aspen_swap_remove(scene.aspen, types[number]);
                if (!error) {
                    there &= ~(1u << number);
                    removed++;
                } else if (error != -ASPEN_EBUSY) {
                    must_be(error, -ASPEN_ENOMEM);
                }
            }
            break;
        case 1:
            new_group((unsigned)unit_below(&seed, GROUPS));
            break;
        case 2:
        case 3:
            limit(&seed);
            break;
        case 4:
            aspen_group_reclaim(scene.groups[unit_below(&seed, GROUPS)], 20);
            break;
        case 5:
            aspen_group_reclaim(scene.top, 30);
            break;
        default:
            aspen_reclaim(scene.aspen, 30);
            break;
        }
    }
    return removed;
}

/* ---- All ---------------------------------------------------------------- */

static void
begin(struct worker *workers)
{
    struct aspen_config config = helper_config(4096);
    uint64_t seed = unit_seed("test_group_soak", 1);

    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&scene.s, &config);
    scene.h = &scene.s.helper;
    scene.aspen = scene.h->aspen;
    assert_int_equal(pthread_mutex_init(&scene.lock, NULL), 0);
    assert_int_equal(aspen_group_create(scene.aspen, NULL, &scene.top), 0);
    for (unsigned i = 0; i < GROUPS; i++)
        new_group(i);
    scene.object =
        helper_object(scene.h, ASPEN_OBJECT_SHMEM, WORKERS * PAGES, NULL, NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){.number = i, .seed = unit_random(&seed)};
        w->mm = helper_mm(scene.h);
        w->at = helper_map(w->mm, 0, PAGES, RW);
        w->shared = helper_map_object(w->mm, 0, PAGES, RW | ASPEN_VM_SHARED,
                                      scene.object, i * PAGES);
    }
}

static void
end(struct worker *workers)
{
    for (unsigned i = 0; i < GROUPS; i++)
        assert_int_equal(aspen_group_limit_set(scene.groups[i], ASPEN_GROUP_MAX,
                                               ASPEN_GROUP_UNLIMITED),
                         0);
    for (unsigned i = 0; i < WORKERS; i++)
        read_some(&workers[i], workers[i].mm, 2 * PAGES);
    helper_assert_valid(scene.h);
    for (unsigned i = 0; i < WORKERS; i++)
        aspen_mm_put(workers[i].mm);
    aspen_object_put(scene.object);
    helper_assert_valid(scene.h);
    aspen_group_drain(scene.aspen, NULL);
    assert_int_equal(scene.top->memory.used, 0);
    assert_int_equal(scene.top->swap.used, 0);
    for (unsigned i = 0; i < GROUPS; i++)
        aspen_group_put(scene.groups[i]);
    assert_int_equal(scene.aspen->groups.count, 1);
    aspen_group_put(scene.top);
    helper_space_destroy(&scene.s);
}

static void
test_soak(void **state)
{
    static struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    uint64_t refusals = 0, moves = 0, forks = 0;

    (void)state;
    begin(workers);
    const uint64_t seed = workers[0].seed;
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]),
                         0);
    uint64_t removed = disturb(seed);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        refusals += workers[i].refused;
        moves += workers[i].moves;
        forks += workers[i].forks;
    }
    printf("%llu moves, %llu forks, %llu areas gone, %llu refused\n",
           (unsigned long long)moves, (unsigned long long)forks,
           (unsigned long long)removed, (unsigned long long)refusals);
    assert_true(moves > 0 && forks > 0);
    end(workers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_soak)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
