/* SPDX-License-Identifier: MIT */
/*
 * broken.c - linked into build/aspen-broken, an `aspen` whose calls break
 * promises, so that a test sees rehearse, shadow and fuzz notice: for each
 * comparison that they make there is one way that it alone meets first.
 * $ASPEN_BROKEN says how. Here is what calls do:
 *
 *   answer        a failed fork answers EBUSY
 *   child         it hands out a child
 *   succeeds      a fork that has to fail does not
 *   room          the tool has no memory for what it hears of a fork
 *   step          it passes one step more, as if recovery needed something
 *   space         it leaves a space in the registry
 *   state         its parent is not live any more
 *   locked        its parent has locked a page more
 *   limit         its parent has another limit
 *   charge        it keeps one page of its charge
 *   rare          as charge, but only when step 41 fails
 *   hook:WHICH    a hook is called without its counterpart: arch, userfault,
 *                 open, release, bracket, scanner
 *   crash         it ends the process
 *   next-answer, next-step, next-charge, next-hook:WHICH
 *                 the same of the fork after it
 *   next-plan, next-end
 *                 no plan can be set before it, or ended after it
 *   plain-charge  each fork that succeeds keeps one page of its charge
 *   import-charge the machine begins with a page of charge that nobody has
 *   exit-hook     the last exit calls a hook without its counterpart
 *   destroy       a machine does not end
 *   swap:WHOSE    a page reads otherwise than it was: a child's, the parent's,
 *                 or the parent's at the end
 *   swap-error    no page of a child can be read
 *   unlike        one worker's forks have a step more than those of others
 *
 *   tail          munmap leaves the last page of what it was told
 *   mappings      mprotect says that it did, and has done nothing
 *   answers       mprotect does what it should, and answers EACCES
 *   errno         a refused mprotect is refused for another reason
 *   granted       a refused mprotect says that it did
 *   half          a refused mprotect changes a limit
 *   leak:WHAT     mprotect leaves behind: a frame, charge, a user of its space,
 *                 a user of an object
 *   advice        madvise says that a mapping is not to be forked or dumped,
 *                 and has done nothing
 *   place         mmap puts a mapping elsewhere
 *   offset        mmap takes the page of a file behind the one that was said
 *   fork:WHOSE    fork unmaps the second mapping: of its child, its parent
 *   import        what is imported cannot be read
 *   rights        pkey_alloc does not set the thread's rights
 *
 * broken_told.c has what is told, broken_traced.c what is followed. Without it
 * everything is as it should be. The linker puts __wrap_ in front
 * (tools/tools.mk).
 */
#define _GNU_SOURCE
#include "broken.h"
#include "base/lock.h"
#include "frames/count.h"
#include "frames/frames.h"
#include "space/vma.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

BREAKABLE(int, aspen_create, const struct aspen_config *config,
          struct aspen **aspen);
BREAKABLE(int, aspen_destroy, struct aspen *aspen);
BREAKABLE(int, aspen_failpoints_set, struct aspen *aspen,
          const struct aspen_failpoint_plan *plan);
BREAKABLE(int, aspen_fork, struct aspen_mm *parent, struct aspen_mm **child);
BREAKABLE(void, aspen_mm_put, struct aspen_mm *mm);
BREAKABLE(void *, realloc, void *memory, size_t bytes);
BREAKABLE(int, aspen_read_memory, struct aspen_mm *mm, uint64_t address,
          void *buffer, uint64_t length_bytes, unsigned flags, uint64_t *done);
BREAKABLE(int, aspen_munmap, struct aspen_mm *mm, uint64_t address,
          uint64_t length_bytes);
BREAKABLE(int, aspen_mprotect, struct aspen_mm *mm, uint64_t address,
          uint64_t length_bytes, uint64_t access, int pkey);
BREAKABLE(int, aspen_madvise, struct aspen_mm *mm, uint64_t address,
          uint64_t length_bytes, enum aspen_advice advice);
BREAKABLE(int, aspen_mmap, struct aspen_mm *mm,
          const struct aspen_mmap_args *args, uint64_t *address);
BREAKABLE(int, aspen_import_vma, struct aspen_mm *mm,
          const struct aspen_import_vma *vma);

struct broken_state broken_state;

static uint64_t failing_step;
/* Of the rehearsing processes: how many have begun. */
static uint32_t *workers;
static bool is_unlike;
static bool is_forking;
/* Since the last fork. */
static unsigned parents_reads;

bool
breaks(const char *how)
{
    const char *wanted = getenv("ASPEN_BROKEN");

    return wanted && strcmp(wanted, how) == 0;
}

const char *
broken_part(const char *kind)
{
    const char *wanted = getenv("ASPEN_BROKEN");
    size_t length = strlen(kind);

    return wanted && strncmp(wanted, kind, length) == 0 && wanted[length] == ':'
               ? wanted + length + 1
               : NULL;
}

static void
leak_charge(struct aspen *aspen)
{
    aspen_count(aspen, ASPEN_COUNT_COMMITTED, 1);
}

/* ---- Machines ----------------------------------------------------------- */

__attribute__((constructor)) static void
share_count(void)
{
    workers = mmap(NULL, sizeof(*workers), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (workers == MAP_FAILED)
        abort();
}

static void
ignore_rights(void *context, const struct aspen_mm *mm, uint32_t rights)
{
    (void)context;
    (void)mm;
    (void)rights;
}

int
WRAPPED(aspen_create)(const struct aspen_config *config, struct aspen **aspen)
{
    static struct aspen_arch_ops arch;
    struct aspen_config broken = *config;
    int result;

    if (breaks("rights") && config->hooks.arch) {
        arch = *config->hooks.arch;
        arch.rights_set = ignore_rights;
        broken.hooks.arch = &arch;
    }
    result = REAL(aspen_create)(&broken, aspen);
    if (result == 0 && breaks("import-charge"))
        leak_charge(*aspen);
    is_unlike = __atomic_fetch_add(workers, 1, __ATOMIC_RELAXED) > 0;
    return result;
}

int
WRAPPED(aspen_destroy)(struct aspen *aspen)
{
    return breaks("destroy") ? -ASPEN_EBUSY : REAL(aspen_destroy)(aspen);
}

int
WRAPPED(aspen_failpoints_set)(struct aspen *aspen,
                              const struct aspen_failpoint_plan *plan)
{
    if (breaks("next-plan") && broken_state.phase == BROKEN_FAILED && plan &&
        plan->mode == ASPEN_FAIL_NEVER)
        return -ASPEN_EINVAL;
    if (breaks("next-end") && broken_state.phase == BROKEN_NEXT && !plan)
        return -ASPEN_EINVAL;
    failing_step = plan ? plan->number : 0;
    return REAL(aspen_failpoints_set)(aspen, plan);
}

/* ---- Fork --------------------------------------------------------------- */

static void
call_pager(struct aspen *aspen, bool opens)
{
    struct aspen_object *object =
        aspen_container_of(aspen->objects.next, struct aspen_object, link);

    if (!opens)
        object->pager->release(object->context);
    else if (object->pager->open(object->context, NULL) != 0)
        abort();
}

static void
call_hook(struct aspen_mm *mm, const char *which)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;
    void *cookie = NULL;

    if (strcmp(which, "arch") == 0)
        (void)!hooks->arch->fork_prepare(hooks->context, mm, mm);
    else if (strcmp(which, "userfault") == 0)
        (void)!hooks->userfault->fork_prepare(hooks->context, NULL, NULL, NULL,
                                              &cookie);
    else if (strcmp(which, "open") == 0 || strcmp(which, "release") == 0)
        call_pager(mm->aspen, which[0] == 'o');
    else if (strcmp(which, "bracket") == 0)
        hooks->notifier->invalidate_start(hooks->context, mm, 0, 4096);
    else if (strcmp(which, "scanner") == 0)
        hooks->scanner->fork_done(hooks->context, mm, mm);
    else
        abort();
}

static void
cross(struct aspen_mm *mm)
{
    (void)aspen_failpoint(&mm->aspen->failpoints, ASPEN_STEP_FRAME);
}

static int
after_failure(struct aspen_mm *parent, struct aspen_mm **child, uint64_t step,
              int result)
{
    if (breaks("crash"))
        abort();
    if (breaks("child"))
        *child = parent;
    if (breaks("succeeds")) {
        (void)!REAL(aspen_failpoints_set)(parent->aspen, NULL);
        return REAL(aspen_fork)(parent, child);
    }
    if (breaks("step"))
        cross(parent);
    if (breaks("space"))
        aspen_fetch_add_relaxed(&parent->aspen->registry_count, 1);
    if (breaks("state"))
        aspen_store(&parent->state, (uint32_t)ASPEN_MM_EMPTY);
    if (breaks("locked"))
        parent->locked_pages++;
    if (breaks("limit"))
        (void)!aspen_limit_set(parent, ASPEN_LIMIT_STACK, 4096);
    if (breaks("charge") || (breaks("rare") && step == 41))
        leak_charge(parent->aspen);
    if (broken_part("hook"))
        call_hook(parent, broken_part("hook"));
    return breaks("answer") ? -ASPEN_EBUSY : result;
}

/* The fork after one that failed. */
static int
after_next(struct aspen_mm *parent, struct aspen_mm **child)
{
    if (breaks("next-answer")) {
        REAL(aspen_mm_put)(*child);
        return -ASPEN_EBUSY;
    }
    if (breaks("next-step"))
        cross(parent);
    if (breaks("next-charge"))
        leak_charge(parent->aspen);
    if (broken_part("next-hook"))
        call_hook(parent, broken_part("next-hook"));
    return 0;
}

/* Not the lowest, which may be the executor of a scratch process. */
static void
unmap_second(struct aspen_mm *mm)
{
    struct aspen_vma *vma;
    uint64_t start, bytes;

    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    vma = aspen_vma_find(mm, 0);
    vma = vma ? aspen_vma_find(mm, vma->end) : NULL;
    start = vma ? vma->start : 0;
    bytes = vma ? vma->end - start : 0;
    aspen_read_unlock(&mm->mmap_lock);
    if (aspen_munmap(mm, start, bytes) != 0)
        abort();
}

static void
after_success(struct aspen_mm *parent, struct aspen_mm *child)
{
    const char *whose = broken_part("fork");

    if (breaks("plain-charge"))
        leak_charge(parent->aspen);
    if (breaks("unlike") && is_unlike)
        cross(parent);
    if (whose)
        unmap_second(strcmp(whose, "child") == 0 ? child : parent);
}

/* Whoever the core tells of its steps. */
void *
WRAPPED(realloc)(void *memory, size_t bytes)
{
    return is_forking && breaks("room") ? NULL : REAL(realloc)(memory, bytes);
}

int
WRAPPED(aspen_fork)(struct aspen_mm *parent, struct aspen_mm **child)
{
    uint64_t step = failing_step;
    bool was_failed = broken_state.phase == BROKEN_FAILED;
    int result;

    is_forking = true;
    result = REAL(aspen_fork)(parent, child);
    is_forking = false;
    broken_state.parent = parent;
    parents_reads = 0;
    if (result != 0) {
        broken_state.phase = BROKEN_FAILED;
        return after_failure(parent, child, step, result);
    }
    after_success(parent, *child);
    if (!was_failed)
        return 0;
    broken_state.phase = BROKEN_NEXT;
    return after_next(parent, child);
}

void
WRAPPED(aspen_mm_put)(struct aspen_mm *mm)
{
    if (breaks("exit-hook") && mm == broken_state.parent)
        call_hook(mm, "bracket");
    REAL(aspen_mm_put)(mm);
}

/* So many pages are compared behind a fork; more, at the end. */
#define COMPARED 16u

/* Whose page it is. */
static const char *
reader_of(const struct aspen_mm *mm)
{
    if (mm != broken_state.parent)
        return "child";
    return ++parents_reads > COMPARED ? "end" : "parent";
}

int
WRAPPED(aspen_read_memory)(struct aspen_mm *mm, uint64_t address, void *buffer,
                           uint64_t length_bytes, unsigned flags,
                           uint64_t *done)
{
    const char *wanted = broken_part("swap"), *whose = reader_of(mm);
    int result =
        REAL(aspen_read_memory)(mm, address, buffer, length_bytes, flags, done);

    if (breaks("swap-error") && mm != broken_state.parent)
        return -ASPEN_EIO;
    if (wanted && strcmp(wanted, whose) == 0)
        ((char *)buffer)[length_bytes - 1] ^= 1;
    return result;
}

/* ---- Other calls -------------------------------------------------------- */

static void
leak(struct aspen_mm *mm, const char *what)
{
    struct aspen *aspen = mm->aspen;
    uint32_t frame;

    if (strcmp(what, "frame") == 0)
        (void)!aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame);
    else if (strcmp(what, "charge") == 0)
        leak_charge(aspen);
    else if (strcmp(what, "space") == 0)
        aspen_mm_get(mm);
    else if (strcmp(what, "object") == 0)
        aspen_object_get(
            aspen_container_of(aspen->objects.next, struct aspen_object, link));
    else
        abort();
}

int
WRAPPED(aspen_munmap)(struct aspen_mm *mm, uint64_t address,
                      uint64_t length_bytes)
{
    bool leaves = breaks("tail") && length_bytes > 4096;

    return REAL(aspen_munmap)(mm, address,
                              leaves ? length_bytes - 4096 : length_bytes);
}

int
WRAPPED(aspen_mprotect)(struct aspen_mm *mm, uint64_t address,
                        uint64_t length_bytes, uint64_t access, int pkey)
{
    int result;

    if (breaks("mappings"))
        return 0;
    result = REAL(aspen_mprotect)(mm, address, length_bytes, access, pkey);
    if (broken_part("leak"))
        leak(mm, broken_part("leak"));
    if (breaks("half") && result < 0)
        (void)!aspen_limit_set(mm, ASPEN_LIMIT_STACK, 4096);
    if (breaks("errno") && result < 0)
        return -ASPEN_EBUSY;
    if (breaks("granted"))
        return 0;
    return breaks("answers") ? -ASPEN_EACCES : result;
}

int
WRAPPED(aspen_madvise)(struct aspen_mm *mm, uint64_t address,
                       uint64_t length_bytes, enum aspen_advice advice)
{
    if (breaks("advice") &&
        (advice == ASPEN_MADV_DONTFORK || advice == ASPEN_MADV_DONTDUMP))
        return 0;
    return REAL(aspen_madvise)(mm, address, length_bytes, advice);
}

int
WRAPPED(aspen_mmap)(struct aspen_mm *mm, const struct aspen_mmap_args *args,
                    uint64_t *address)
{
    struct aspen_mmap_args broken = *args;

    if (breaks("offset") && args->object)
        broken.offset_bytes += 4096;
    if (breaks("place") && args->address == 0)
        broken.address = UINT64_C(0x200000000);
    return REAL(aspen_mmap)(mm, &broken, address);
}

int
WRAPPED(aspen_import_vma)(struct aspen_mm *mm,
                          const struct aspen_import_vma *vma)
{
    struct aspen_import_vma broken = *vma;

    if (breaks("import"))
        broken.vm_flags &= ~(uint64_t)ASPEN_VM_READ;
    return REAL(aspen_import_vma)(mm, &broken);
}
